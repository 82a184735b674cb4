"""What no ledger knows and an impact assessment needs: facts that a person states in a file."""
