"""After training, at a partner: a platform makes tokens, a lender scores with them, and each answer replays."""
