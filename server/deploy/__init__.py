"""The server of a federation as processes: certificates, a hardened SuperLink, its control, the app bundle."""
