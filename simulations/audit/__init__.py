"""Empirical privacy auditing in one run: how much an adversary does learn, held against what is claimed."""

CANARIES = 3000
"""Canaries of an audit, each of which is in by a fair coin."""

GUESSES = 600
"""How many of them are guessed: fixed before any run, since choosing it by the outcome would spoil the bound."""

CONFIDENCE = 0.95
"""Confidence of the bound."""
