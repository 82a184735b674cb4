"""For reviewers: read ledgers and run records offline, check them, and say what they show. Nothing here writes one."""
