"""Teach the CLIP service's model from pictures and what is said of them."""
