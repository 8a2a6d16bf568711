"""Metrics on class maps and logits, with their conventions and sources."""
