"""Folders of a user's own images and masks: finding pairs, understanding masks, checking all of it."""
