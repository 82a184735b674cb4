"""Early warning: the watch bit at a platform, and a lender's list of borrowers to contact first."""
