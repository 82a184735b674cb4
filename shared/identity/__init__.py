"""Who a party is, whom it trusts, and how its keys lie on disk."""
