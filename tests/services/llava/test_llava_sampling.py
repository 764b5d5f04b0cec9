"""From logits to tokens: what each parameter of a request makes likely, and what a seed repeats."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from services.llava.prompt import Prompt
from services.llava.sampling import Sampling, choose, draw
from services.llava.sequence import Sequence

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -9.0])


def row(how: Sampling | None, *, prompt: tuple[int, ...] = (), said: tuple[int, ...] = ()) -> Sequence:
    return Sequence(Prompt(prompt), limit=9, sampling=how, tokens=[*prompt, *said])


def drawn(count: int = 4000, **options: Any) -> Counter[int]:
    """How often each token comes."""
    one = row(Sampling(seed=1, **options))
    return Counter(choose(LOGITS[None], [one])[0].token for _ in range(count))


def test_without_temperature_the_likeliest_token_comes() -> None:
    assert choose(LOGITS[None].repeat(2, 1), [row(None), row(Sampling(temperature=0))])[1].token == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_their_probability(temperature: float) -> None:
    counts, shares = drawn(temperature=temperature), (LOGITS / temperature).softmax(-1)
    for token, share in enumerate(shares.tolist()):
        assert counts[token] / 4000 == pytest.approx(share, abs=0.03)


def test_top_k_and_top_p_cut_off_what_is_unlikely() -> None:
    assert set(drawn(top_k=2)) == {0, 1}
    assert set(drawn(top_p=0.6)) == {0, 1}  # the first has less than that, with the second it is enough
    assert set(drawn(top_p=0.0)) == set(drawn(top_k=1)) == {0}
    assert set(drawn(top_k=3, top_p=0.9)) == {0, 1, 2}


def test_the_same_seed_draws_the_same_tokens_whoever_shares_the_step() -> None:
    def answer(others: int) -> list[int]:
        rows = [row(Sampling(seed=seed)) for seed in (7, *range(100, 100 + others))]
        noise = torch.randn(others, len(LOGITS))
        return [choose(torch.cat([LOGITS[None], noise]), rows)[0].token for _ in range(50)]

    assert answer(0) == answer(1) == answer(15)
    assert len(set(answer(0))) > 1


def test_what_was_said_or_asked_is_less_likely_with_a_repetition_penalty() -> None:
    how = Sampling(temperature=0, repetition_penalty=2.0)
    for asked, said in (((0,), ()), ((), (0,))):
        (choice,) = choose(torch.tensor([[2.0, 1.5, -1.0]]), [row(how, prompt=asked, said=said)])
        assert choice.token == 1
    (choice,) = choose(torch.tensor([[-1.0, -1.5]]), [row(how, prompt=(0,))])
    assert choice.token == 1  # negative logits are multiplied


def test_openais_penalties_count_the_answer_alone() -> None:
    logits = torch.tensor([[2.0, 1.1]])
    for how in (Sampling(temperature=0, presence_penalty=1.0), Sampling(temperature=0, frequency_penalty=0.5)):
        assert choose(logits, [row(how, prompt=(0, 0))])[0].token == 0
        assert choose(logits, [row(how, said=(0, 0))])[0].token == 1
    assert choose(logits, [row(Sampling(temperature=0, frequency_penalty=0.5), said=(0,))])[0].token == 0


def test_a_bias_is_added() -> None:
    (choice,) = choose(LOGITS[None], [row(Sampling(temperature=0, logit_bias={5: 100.0, 0: -100.0}))])
    assert choice.token == 5


class OnlyOdd:
    """A constraint of odd tokens, which remembers what came."""

    def __init__(self) -> None:
        self.came: list[int] = []

    def mask(self, size: int) -> Tensor:
        return torch.arange(size) % 2 == 1

    def advance(self, token: int) -> None:
        self.came.append(token)


def test_a_constraint_allows_and_is_told() -> None:
    odd = OnlyOdd()
    tokens = [choose(LOGITS[None], [row(Sampling(seed=3, constraint=odd))])[0].token for _ in range(50)]
    assert set(tokens) <= {1, 3, 5} and odd.came == tokens


def test_log_probabilities_are_those_before_any_adjustment() -> None:
    how = Sampling(temperature=0, logprobs=2, logit_bias={0: -100.0})
    (choice,) = choose(LOGITS[None], [row(how)])
    expected = LOGITS.log_softmax(-1)
    assert choice.token == 1 and choice.logprob == pytest.approx(expected[1].item())
    assert [token for token, _ in choice.top] == [0, 1]
    assert [value for _, value in choice.top] == pytest.approx(expected[:2].tolist())
    assert choose(LOGITS[None], [row(Sampling(temperature=0))])[0].logprob is None


def test_rows_with_different_wishes_do_not_touch_each_other() -> None:
    hows = [None, Sampling(temperature=0, logit_bias={0: -100.0}), Sampling(temperature=0, logprobs=1)]
    logits = LOGITS[None].repeat(3, 1)
    assert [choice.token for choice in choose(logits, [row(how) for how in hows])] == [0, 1, 0]
    assert torch.equal(logits, LOGITS[None].repeat(3, 1))


def test_what_was_drawn_stays_when_the_logits_are_written_over_before_anybody_looks() -> None:
    hows = [None, Sampling(seed=1), Sampling(seed=2, logprobs=2), Sampling(temperature=0, logprobs=0)]
    expected = choose(LOGITS[None].repeat(4, 1), [row(replace(how) if how else None) for how in hows])
    logits = LOGITS[None].repeat(4, 1)
    drawn = draw(logits, [row(replace(how) if how else None) for how in hows])
    logits.fill_(0)
    tokens = drawn.tokens.tolist()
    assert drawn.choices() == expected
    assert tokens == [choice.token for choice in expected]


def test_only_what_depends_on_earlier_tokens_must_know_them() -> None:
    free = [Sampling(), Sampling(temperature=0, logit_bias={1: 1.0}), Sampling(seed=1, top_p=0.5, top_k=3, logprobs=1)]
    bound = [Sampling(frequency_penalty=1), Sampling(repetition_penalty=1.1), Sampling(constraint=OnlyOdd())]
    assert [how.looks_back for how in (*free, *bound)] == [False] * 3 + [True] * 3
