"""Words and numbers as people see them, and text of others as it may be shown."""
