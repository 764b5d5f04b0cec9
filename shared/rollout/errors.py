"""What can go wrong with a push; each sentence is written for the operator who reads it.

RolloutError
├── Refused          a replica does not take the version, or is not there: nothing was changed
├── SpaceMoved       its embeddings are not comparable with those of before
├── SpaceKept        two embedding spaces serve already
├── NotKept          there is no such space, or version, beside the one that serves
└── NoWayBack        there is no version before this one
"""

from collections.abc import Sequence


class RolloutError(Exception):
    """The push, or the way back, did not happen; what served goes on."""


class Refused(RolloutError):
    """At least one replica refused, so none took the version; `reasons` has one line for each that did."""

    def __init__(self, what: str, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("\n  ".join([f"{what} was not pushed, and what served goes on:", *reasons]))


class SpaceMoved(RolloutError):
    """The new weights embed into another space, and nobody said that this is meant."""


class SpaceKept(RolloutError):
    """The space of an earlier push is kept beside the one that serves; a third has no place."""


class NotKept(RolloutError):
    """What should be retired is not kept."""


class NoWayBack(RolloutError):
    """The alias never pointed at another version."""
