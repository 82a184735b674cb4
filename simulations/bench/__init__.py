"""Benchmarks: `python -m simulations.bench NAME [--json]`. Both sides of a ratio are timed in one run."""
