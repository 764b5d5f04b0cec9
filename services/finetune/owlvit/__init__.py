"""Teach the OWL-ViT service's model from pictures and the names of what is in their boxes."""
