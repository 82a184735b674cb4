"""The research engine: a plan's roles and its coordinator in one process, and nothing that protects anybody."""
