"""What a reviewer reads first: page one, the verdict, the verification, and the impact assessment."""
