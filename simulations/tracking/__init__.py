"""Runs in the tools where a researcher looks at experiments already: MLflow and TensorBoard."""
