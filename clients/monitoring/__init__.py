"""A lender's loans as a plan of counts reads them."""
