"""What can go wrong with the store; each sentence is written for the operator who reads it.

StoreError
├── BadName          a name, alias or reference that no store can hold
├── NotInStore       no such model, version or alias
├── VersionExists    versions never change: this id is taken
├── StoreAway        the server of the store does not answer
├── AliasMoved       the alias no longer points where the caller believed
└── RefusedVersion   bytes that differ from their manifest, or that no service may read (also a `RefusedWeights`)
"""

from shared.serving.model import RefusedWeights


class StoreError(Exception):
    """The store cannot do what was asked; nothing was changed."""


class BadName(StoreError):
    """A name, alias or reference that is not well formed."""


class NotInStore(StoreError):
    """The store holds no such model, version or alias."""


class VersionExists(StoreError):
    """A version of this id was published before; versions are immutable."""


class StoreAway(StoreError):
    """The server of the store does not answer now; it may later."""


class AliasMoved(StoreError):
    """Somebody else moved the alias first; read it again and decide anew."""


class RefusedVersion(StoreError, RefusedWeights):
    """The bytes differ from their manifest, or are of a kind that is never loaded."""
