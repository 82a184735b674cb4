"""What runs at a partner: the courier that Flower starts, and the node that the partner installed."""
