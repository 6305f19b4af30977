"""How files are sent: small ones, large ones in parts, and what goes with them."""
