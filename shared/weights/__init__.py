"""The weights store: immutable versions, verified before use, and the aliases that point at them."""
