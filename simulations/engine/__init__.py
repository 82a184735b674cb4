"""Engines that run a federation on one machine."""
