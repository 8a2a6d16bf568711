"""Data sets as plug-ins, with hashed splits and joint transforms of images and masks."""
