"""A node's folder and configuration, and what its operator looks at before a plan is approved."""
