"""Where a table may lie: files and databases."""
