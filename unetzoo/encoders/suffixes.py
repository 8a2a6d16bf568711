"""Names of files that can hold weights; imports nothing, so that a spec can name them without torch."""

from __future__ import annotations

WEIGHT_FILES = (".safetensors", ".pth", ".pt", ".bin")
