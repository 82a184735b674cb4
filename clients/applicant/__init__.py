"""One applicant's features from raw rows, by the code that computes whole tables, at a cost that no book changes."""
