"""Sweeps: many runs of one scenario under changed keys and seeds, one row a run, and what they show together."""
