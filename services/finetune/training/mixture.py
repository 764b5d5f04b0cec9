"""The order in which a run sees its examples: half new and half replayed, each shuffled anew whenever it is used up.

    number -> which example, and the randomness of its augmentation

Both depend on the seed and the number alone. So a resumed run goes on as if it had never stopped, and a step of two
processes sees the very examples that one process with twice the batch would see.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Generic, TypeVar

import torch
from torch.utils.data import Dataset

Source = TypeVar("Source")
Made = TypeVar("Made")


class Luck(Random):
    """The randomness of one example; `step` is a seed that all examples of its step share, over all processes."""

    step = ""


class Mixture(Dataset[Made], Generic[Source, Made]):
    """All examples of a run by their number: even ones are new, odd ones replayed."""

    def __init__(
        self,
        make: Callable[[Source, Luck], Made],
        parts: tuple[Sequence[Source], Sequence[Source]],
        *,
        length: int,
        seed: int,
        step: int,
    ) -> None:
        """`make` reads and augments one example, with torch's own generator seeded as well.

        The `parts` are new and replayed examples, the latter perhaps none; a `step` has so many over all processes.
        """
        self._make, self._length, self._seed, self._step = make, length, seed, step
        self._parts = [_Shuffled(part, f"{seed}/{number}") for number, part in enumerate(parts) if part]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Made:
        turn, part = divmod(number, len(self._parts))
        rng = Luck(f"{self._seed}/example {number}")
        rng.step = f"{self._seed}/step {number // self._step}"
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(rng.getrandbits(63))
            return self._make(self._parts[part][turn], rng)


class _Shuffled(Generic[Source]):
    """A sequence without end: all examples in random order, then again in another."""

    def __init__(self, examples: Sequence[Source], seed: str) -> None:
        self._examples, self._seed = examples, seed
        self._round, self._order = -1, list(range(len(examples)))

    def __getitem__(self, number: int) -> Source:
        round_, place = divmod(number, len(self._examples))
        if round_ != self._round:
            self._order = Random(f"{self._seed}/round {round_}").sample(range(len(self._examples)), len(self._examples))
            self._round = round_
        return self._examples[self._order[place]]
