"""What happens to consents and loans between applications: withdrawals, batches, watch bits, early warnings."""
