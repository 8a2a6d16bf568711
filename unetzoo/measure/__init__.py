"""Costs of a model: parameters, MACs, memory and latency, measured on fixed shapes and apart from training."""
