"""Sentences that are said of U-Net, each made precise beforehand, measured, and judged by its own rule."""
