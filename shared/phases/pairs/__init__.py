"""What pairs of a lender and a platform do in a plan."""
