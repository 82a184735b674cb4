"""Scenarios, runs, baselines and exact figures."""
