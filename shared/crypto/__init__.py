"""How parties find each other and hide from all others: alignment of persons between a lender and a platform."""
