"""The gallery: one page of all entries, what each costs, how it looks and what it is known to equal."""
