"""A partner's node as processes: the SuperNode, its key, its connection, and the bundles that it may run."""
