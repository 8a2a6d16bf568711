"""Functions on class maps, with their conventions stated."""
