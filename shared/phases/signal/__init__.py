"""What a platform tells of the training persons: levels of its tower between edges that a noisy sum gave."""
