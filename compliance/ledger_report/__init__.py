"""The compliance report on ledgers, section by section."""
