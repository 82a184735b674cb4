"""After a score: a lender's policy, the proposal that follows from it, reviews, notices and what is promised."""
