"""What HTTP services of a node share: problem documents, callers and their rights, where a service listens, and how."""
