"""What the files of scoring hold."""
