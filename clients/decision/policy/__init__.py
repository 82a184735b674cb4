"""`policy.toml`: its types, what is refused in it, and which policies a lender has approved."""
