"""The grid: a U-Net as data (`spec`), the callables its options name (`parts`), and the network (`assembly`)."""
