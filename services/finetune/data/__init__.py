"""Training data in the field's formats."""
