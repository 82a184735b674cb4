"""What follows an alert: a proposal with its price, and champion and challenger compared."""
