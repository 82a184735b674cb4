"""The people of a world: who they are, how they trade, borrow and repay."""
