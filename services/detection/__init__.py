"""Closed-set detection: boxes, and masks, of the classes that a detector was trained on."""
