"""Decisions over HTTP: what follows a score at a lender."""
