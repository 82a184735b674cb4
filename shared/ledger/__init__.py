"""A party's ledger: entries, its state, budget checks, anchors, and what each person's disclosures add up to."""
