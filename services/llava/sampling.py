"""From logits to tokens: penalties, bias, constraint -> temperature -> top-k -> top-p -> one draw.

    logits of each row -> its own adjustments -> greedy: the best;  else: a draw with the row's own random number
                       -> on the device, for the next step; and on the way to the host -> choices

A row's random numbers come from its own seed, one a token, and turn into a token by the cumulated probabilities: the
same seed gives the same answer, whoever shares the step. Log-probabilities are those before any adjustment.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from services.llava.sequence import Sequence as Row
from shared.accel.transfer import Fetched, sent

Alternative = tuple[int, float]  # a token and its log-probability


class Constraint(Protocol):
    """What may be said next, by a grammar."""

    def mask(self, size: int) -> Tensor:
        """Which of `size` tokens may come next, as booleans."""

    def advance(self, token: int) -> None:
        """Tell which token came."""


@dataclass(slots=True)
class Sampling:
    """How the tokens of one answer are chosen; the names are those of the API, and `top_k` 0 means all."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    logprobs: int | None = None  # how many alternatives to tell; None for nothing at all
    seed: int | None = None
    constraint: Constraint | None = None
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Begin the row's own sequence of random numbers."""
        self.chance = random.Random(self.seed)  # noqa: S311 -- a seed must give the same answer again

    @property
    def looks_back(self) -> bool:
        """Whether the choice of a token depends on those before it, which the host must know by then."""
        penalties = (self.repetition_penalty, self.frequency_penalty, self.presence_penalty)
        return penalties != (1.0, 0.0, 0.0) or self.constraint is not None

    @property
    def adjusts(self) -> bool:
        """Whether the logits are changed before the choice."""
        return self.looks_back or bool(self.logit_bias)


@dataclass(frozen=True, slots=True)
class Choice:
    """A token, its log-probability and the best alternatives, where the row asked for them."""

    token: int
    logprob: float | None = None
    top: tuple[Alternative, ...] = ()


GREEDY = Sampling(temperature=0.0)


class Drawn:
    """The next token of each row: on the device, and on the way to the host."""

    def __init__(self, how: Sequence[Sampling], tokens: Tensor, alternatives: Sequence[Tensor]) -> None:
        """`tokens` is int64 `[n]`; `alternatives` are those of the rows that want some, as `_alternatives` gives."""
        self.tokens = tokens
        self._how, self._fetched = how, Fetched(tokens, *alternatives)

    def choices(self) -> list[Choice]:
        """What was drawn, once it has come to the host; to be asked for once, since constraints hear of it."""
        tokens, *alternatives = (each.tolist() for each in self._fetched.wait())
        told = zip(*alternatives, strict=True)
        for token, each in zip(tokens, self._how, strict=True):
            if each.constraint is not None:
                each.constraint.advance(token)
        return [
            Choice(token) if each.logprobs is None else _told(token, each.logprobs, *next(told))
            for token, each in zip(tokens, self._how, strict=True)
        ]


def draw(logits: Tensor, rows: Sequence[Row]) -> Drawn:
    """Draw the next token of each row. `logits` is float32 `[n, vocabulary]`, and may be written over afterwards."""
    how = [row.sampling or GREEDY for row in rows]
    adjusted = _adjusted(logits.clone(), rows, how) if any(each.adjusts for each in how) else logits
    tokens = _draw(adjusted, how)
    return Drawn(how, tokens, _alternatives(logits, tokens, how))


def choose(logits: Tensor, rows: Sequence[Row]) -> list[Choice]:
    """Draw the next token of each row, and wait for it."""
    return draw(logits, rows).choices()


def _alternatives(logits: Tensor, tokens: Tensor, how: Sequence[Sampling]) -> Sequence[Tensor]:
    """Of the rows that want them: the log-probability `[m]` of the token, the best tokens `[m, most]`, and theirs."""
    wanted = {index: each.logprobs for index, each in enumerate(how) if each.logprobs is not None}
    if not wanted:
        return ()
    at = sent(list(wanted), logits.device)
    shares = logits.index_select(0, at).log_softmax(-1)
    top = shares.topk(min(max(wanted.values()), shares.shape[1]))
    return shares.gather(1, tokens.index_select(0, at)[:, None])[:, 0], top.indices, top.values


def _adjusted(logits: Tensor, rows: Sequence[Row], how: Sequence[Sampling]) -> Tensor:
    """Change the logits `[n, vocabulary]` in place, each row's in its own way."""
    for own, row, each in zip(logits, rows, how, strict=True):
        if each.repetition_penalty != 1.0:
            _punish(own, row, each.repetition_penalty)
    added = [
        (index, *one) for index, (row, each) in enumerate(zip(rows, how, strict=True)) for one in _added(row, each)
    ]
    if added:
        places, tokens, amounts = (sent(each, logits.device) for each in zip(*added, strict=True))
        logits.index_put_((places, tokens), amounts.to(logits.dtype), accumulate=True)
    for own, each in zip(logits, how, strict=True):
        if each.constraint is not None:
            own.masked_fill_(~each.constraint.mask(len(own)).to(own.device), -torch.inf)
    return logits


def _punish(logits: Tensor, row: Row, penalty: float) -> None:
    """Divide or multiply what prompt and answer have already (https://arxiv.org/abs/1909.05858)."""
    seen = sent(sorted(set(row.tokens)), logits.device)
    old = logits[seen]
    logits[seen] = torch.where(old < 0, old * penalty, old / penalty)


def _added(row: Row, how: Sampling) -> Iterator[tuple[int, float]]:
    """Tokens and what is added to their logits; OpenAI's penalties count the answer alone."""
    if how.frequency_penalty or how.presence_penalty:
        for token, count in Counter(row.tokens[len(row.prompt.tokens) :]).items():
            yield token, -how.frequency_penalty * count - how.presence_penalty
    yield from how.logit_bias.items()


def _draw(logits: Tensor, how: Sequence[Sampling]) -> Tensor:
    """The token of each row, `[n]`."""
    best = logits.argmax(-1)
    drawn = [index for index, each in enumerate(how) if each.temperature > 0]
    if not drawn:
        return best
    at, rows = sent(drawn, logits.device), [how[index] for index in drawn]
    wishes = [(each.temperature, each.top_k or logits.shape[1], each.top_p, each.chance.random()) for each in rows]
    temperature, top_k, top_p, chance = torch.split(sent(wishes, logits.device), 1, dim=1)  # [m, 1] each
    ordered, tokens = (logits.index_select(0, at) / temperature).sort(dim=-1, descending=True, stable=True)
    rank = torch.arange(ordered.shape[1], device=logits.device)
    ordered.masked_fill_(rank >= top_k, -torch.inf)
    shares = ordered.softmax(-1)
    before = shares.cumsum(-1) - shares
    shares.masked_fill_((before >= top_p) & (rank > 0), 0)
    reached = shares.cumsum(-1)
    place = torch.searchsorted(reached, chance * reached[:, -1:], right=True).clamp_max_(reached.shape[1] - 1)
    return best.index_copy_(0, at, tokens.gather(1, place)[:, 0])


def _told(token: int, count: int, logprob: float, tokens: Sequence[int], logprobs: Sequence[float]) -> Choice:
    return Choice(token, logprob, tuple(zip(tokens, logprobs, strict=True))[:count])
