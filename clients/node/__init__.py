"""The node: every request is checked against an approved plan and charged before it touches data."""
