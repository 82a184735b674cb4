"""The scorer as a service of its own: scores over HTTP, each committed to the log before its answer leaves."""
