"""Networks applied to whole images of any size."""
