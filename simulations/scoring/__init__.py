"""Scores of whole tables by the release of a run."""
