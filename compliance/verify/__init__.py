"""The offline check of a ledger, without trust in who wrote it."""
