"""The offline job that trains new weights."""
