"""Networks whose data flow the grid cannot express: one self-contained file each, in the same vocabulary."""
