"""Suffixes of files that can hold weights. This module imports nothing, so a spec can use it without torch."""

from __future__ import annotations

WEIGHT_FILES = (".safetensors", ".pth", ".pt", ".bin")
