"""Reports that people read: the engine of self-contained pages and figures, and what is on the pages."""
