"""How a node stands: what its status says, and what on this machine is in its way."""
