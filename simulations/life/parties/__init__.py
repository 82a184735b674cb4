"""The parties of a life: what trained the first model, the lenders, the platforms."""
