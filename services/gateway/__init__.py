"""The gateway: one public address in front of all services. No torch, and bodies are never parsed."""
