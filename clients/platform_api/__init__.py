"""A platform's own back end asks its node over HTTP: consents, withdrawals, what was told, and why."""
