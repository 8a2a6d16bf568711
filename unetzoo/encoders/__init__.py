"""Encoders from outside: timm's, SegFormer's Mix Transformers, and their pretrained weights."""
