"""What each party of a world holds, as its own tables."""
