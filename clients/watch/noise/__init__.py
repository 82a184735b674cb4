"""How far a month is from its reference, and how far it would be if nothing had changed."""
