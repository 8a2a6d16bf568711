"""Inference: networks applied to whole images of any size."""
