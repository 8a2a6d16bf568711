"""The grid: U-Nets as data (`spec`), callables that the options name (`parts`), and the networks (`assembly`)."""
