"""What CLIP and OWL-ViT, two towers each, have in common when they are taught."""
