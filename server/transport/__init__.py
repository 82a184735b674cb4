"""How the server reaches parties: requests, seals, payloads passed on, receipts."""
