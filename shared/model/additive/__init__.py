"""The additive model that needs no tuning: tables over bins, fitted from a few noisy sums (docs/recipe.md)."""
