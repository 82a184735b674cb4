"""The figures of a run's report, before they are written."""
