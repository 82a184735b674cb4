"""What score tables, once released with noise, say of a model: figures, each with its interval."""
