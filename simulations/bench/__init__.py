"""Benchmarks: `python -m sealscore.simulations.bench NAME [--json]`. Both sides of a ratio are timed in one run."""
