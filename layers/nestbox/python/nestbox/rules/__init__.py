"""Pure rules: no clock, no network, no environment. Everything they decide on is handed to them."""
