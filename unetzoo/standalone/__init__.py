"""Networks that the grid cannot say: one self-contained file a paper, in the vocabulary of `unetzoo.nn`."""
