"""First-passage tables: what a loan adds to them, what their noise lets be seen, and what they say."""
