"""The additive recipe with all records in one place, as a reference without parties."""
