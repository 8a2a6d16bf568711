"""The parity checker, the golden files and the entries compared with them."""
