"""The creator world: invented creators, channels, wallets and loans with a known truth, as each party holds them."""
