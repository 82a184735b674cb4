"""Runs of plans of counts."""
