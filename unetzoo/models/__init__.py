"""Models by name: entries, the registry, and the factory that builds networks."""
