"""What a researcher adds, as examples that tests run."""
