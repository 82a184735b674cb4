"""The score: bins, towers, calibration and reason codes."""
