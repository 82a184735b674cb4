"""What a lender and a platform compute in each phase."""
