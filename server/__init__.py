"""What runs at the server: the exchange with the parties and the coordinator that drives it."""
