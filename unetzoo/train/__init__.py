"""Training: recipe, losses, the training loop, checkpoints, and weights on disk."""
