"""From a finished run to a release: what lenders score with, and platforms make tokens by."""
