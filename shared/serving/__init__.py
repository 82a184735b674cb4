"""After training: releases, tokens, and what parties must agree on to score."""
