"""Bytes to pixels, within limits; boxes and masks, and the shapes in which they travel."""
