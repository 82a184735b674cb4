"""Differential privacy: mechanisms, the events they are charged as, accountants and noise calibration."""
