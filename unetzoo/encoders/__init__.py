"""Encoders of timm, Mix Transformers of SegFormer, and their pretrained weights."""
