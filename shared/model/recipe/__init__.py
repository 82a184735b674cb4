"""What the server does with the additive model's sums: nothing to tune, and nothing reads a record (docs/recipe.md)."""
