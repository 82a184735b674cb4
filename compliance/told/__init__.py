"""What parties told one another of single persons, and counted: kinds, rows, and the data fields behind them."""
