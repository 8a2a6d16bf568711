"""Models by name: what is known of each, the registry, and building them."""
