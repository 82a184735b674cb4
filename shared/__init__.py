"""What every party must agree on: the contract, its messages, the model and the privacy mechanisms."""
