"""Shapes world: the pictures that the shipped demo weights are trained on, and the recipes that trained them."""
