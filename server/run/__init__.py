"""A run: the coordinator, its rounds, its journal and its progress."""
