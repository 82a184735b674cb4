"""Watching a model after training: what became of scores and loans, measured here, from what this lender holds."""
