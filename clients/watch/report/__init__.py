"""What a watch found in a month, as plain data and as a page."""
