"""From logits to tokens: penalties, bias, constraint -> temperature -> top-k -> top-p -> one draw.

    logits of each row -> its own adjustments -> greedy: the best;  else: a draw with the row's own random number

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
    def adjusts(self) -> bool:
        """Whether the logits are changed before the choice."""
        penalised = (self.repetition_penalty, self.frequency_penalty, self.presence_penalty) != (1.0, 0.0, 0.0)
        return penalised or bool(self.logit_bias) or self.constraint is not None


@dataclass(frozen=True, slots=True)
class Choice:
    """A token, its log-probability and the best alternatives, where the row asked for them."""

    token: int
    logprob: float | None = None
    top: tuple[Alternative, ...] = ()


GREEDY = Sampling(temperature=0.0)


def choose(logits: Tensor, rows: Sequence[Row]) -> list[Choice]:
    """The next token of each row. `logits` is float32 `[n, vocabulary]`."""
    how = [row.sampling or GREEDY for row in rows]
    told = {index: logits[index].log_softmax(-1) for index, each in enumerate(how) if each.logprobs is not None}
    if any(each.adjusts for each in how):
        logits = _adjusted(logits.clone(), rows, how)
    tokens = _draw(logits, how).tolist()
    for token, each in zip(tokens, how, strict=True):
        if each.constraint is not None:
            each.constraint.advance(token)
    return [_choice(token, told.get(index), how[index].logprobs) for index, token in enumerate(tokens)]


def _adjusted(logits: Tensor, rows: Sequence[Row], how: Sequence[Sampling]) -> Tensor:
    """Change the logits `[n, vocabulary]` in place, each row's in its own way."""
    for own, row, each in zip(logits, rows, how, strict=True):
        if each.repetition_penalty != 1.0:
            _punish(own, row, each.repetition_penalty)
    added = [
        (index, *one) for index, (row, each) in enumerate(zip(rows, how, strict=True)) for one in _added(row, each)
    ]
    if added:
        places, tokens, amounts = (torch.tensor(each, device=logits.device) for each in zip(*added, strict=True))
        logits.index_put_((places, tokens), amounts.to(logits.dtype), accumulate=True)
    for own, each in zip(logits, how, strict=True):
        if each.constraint is not None:
            own.masked_fill_(~each.constraint.mask(len(own)).to(own.device), -torch.inf)
    return logits


def _punish(logits: Tensor, row: Row, penalty: float) -> None:
    """Divide or multiply what prompt and answer have already (https://arxiv.org/abs/1909.05858)."""
    seen = torch.tensor(sorted(set(row.tokens)), device=logits.device)
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

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=logits.device)[:, None]

    rows = [how[index] for index in drawn]
    scaled = logits[drawn] / column([each.temperature for each in rows])
    ordered, tokens = scaled.sort(dim=-1, descending=True, stable=True)
    rank = torch.arange(ordered.shape[1], device=logits.device)
    ordered.masked_fill_(rank >= column([each.top_k or ordered.shape[1] for each in rows]), -torch.inf)
    shares = ordered.softmax(-1)
    before = shares.cumsum(-1) - shares
    shares.masked_fill_((before >= column([each.top_p for each in rows])) & (rank > 0), 0)
    reached = shares.cumsum(-1)
    wanted = column([each.chance.random() for each in rows]) * reached[:, -1:]
    place = torch.searchsorted(reached, wanted, right=True).clamp_max_(reached.shape[1] - 1)
    best[drawn] = tokens.gather(1, place)[:, 0]
    return best


def _choice(token: int, logprobs: Tensor | None, count: int | None) -> Choice:
    if logprobs is None or count is None:
        return Choice(token)
    top = logprobs.topk(min(count, len(logprobs))) if count else None
    best = tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True)) if top else ()
    return Choice(token, float(logprobs[token]), best)
