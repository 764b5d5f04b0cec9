"""CLIP: pictures and texts in one embedding space, and what follows from it: zero-shot labels and similarity."""
