"""Data sets as plug-ins; splits that are hashed; images and masks together."""
