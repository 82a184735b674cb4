"""What ledgers say: costs, consents, joint figures, what to ask about."""
