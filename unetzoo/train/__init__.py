"""Losses, schedule, the loop, and weights on disk."""
