"""LLaVA chat: pictures and text in, text out, token by token."""
