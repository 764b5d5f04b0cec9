"""Teach the LLaVA service's model from conversations."""
