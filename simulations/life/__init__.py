"""A life: the invented world month by month through the code of consents, tokens, scores, decisions and loans."""
