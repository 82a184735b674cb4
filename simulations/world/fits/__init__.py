"""What is fitted once on public or invented data, and shipped: it is fitted again here, to be compared."""
