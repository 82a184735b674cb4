"""A server's folder and the plans that it makes."""
