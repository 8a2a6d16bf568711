"""The checker, the golden files and what is held against them."""
