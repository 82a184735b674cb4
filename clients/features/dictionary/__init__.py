"""The feature dictionary: what each feature means, and that it follows from one person alone."""
