"""Secret coins and noise of a party, each from a stream of its own."""
