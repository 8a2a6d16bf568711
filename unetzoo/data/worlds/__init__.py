"""Worlds: images and masks drawn from a seed, with no file behind them."""
