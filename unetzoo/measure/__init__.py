"""What a model costs: parameters, MACs, memory, latency. Measured apart from training, on fixed shapes."""
