"""The additive model as parties use it: codes of bins, clipped sums, tables, and the curve to probabilities."""
