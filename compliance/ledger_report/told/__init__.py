"""Sections on what was told of persons without noise: in training, and for scoring."""
