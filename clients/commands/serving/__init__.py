"""Commands after training: releases, tokens and consents, scores and their log."""
