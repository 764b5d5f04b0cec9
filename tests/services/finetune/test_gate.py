"""The gate: which versions may be pushed, and what it says of them."""

import math

import pytest

from services.finetune.comparison import Comparison
from services.finetune.gate import Verdict, judge
from services.finetune.settings import GateLimits
from services.finetune.task import Evaluation


def scores(**figures: float) -> Evaluation:
    """An evaluation of those scores; `ap50__star` is the score `ap50/star`."""
    return Evaluation({name.replace("__", "/"): value for name, value in figures.items()})


def compare(
    *,
    new: tuple[float, float] = (0.0, 0.94),
    old: tuple[Evaluation, Evaluation] | None = (scores(ap50=0.97), scores(ap50=0.96)),
    examples: int = 100,
) -> Comparison:
    before, after = old or (None, None)
    return Comparison(scores(ap50=new[0]), scores(ap50=new[1]), before, after, examples, examples if old else 0)


def verdict(
    comparison: Comparison, *, latency: tuple[float, float] = (0.02, 0.021), limits: GateLimits | None = None
) -> Verdict:
    return judge(comparison, limits or GateLimits(), headline="ap50", latency=latency)


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if not check.passed]


def test_a_version_that_learnt_and_did_not_forget_passes_every_check() -> None:
    judged = verdict(compare())
    assert judged.passed
    assert str(judged).splitlines() == [
        "ok    ap50 on the new data 0.9400, at least 0.5",
        "ok    ap50 on the new data changes by +0.9400, from 0.0000 to 0.9400; at least +0",
        "ok    ap50 on the old data changes by -0.0100, from 0.9700 to 0.9600; at least -0.05",
        "ok    one answer takes 0.0210 s, the base's 0.0200 s: 1.0500 times as long, at most 1.5",
    ]


@pytest.mark.parametrize(
    ("comparison", "guilty"),
    [
        (compare(new=(0.0, 0.4999)), ["least"]),
        (compare(new=(0.8, 0.79)), ["gain"]),
        (compare(old=(scores(ap50=0.97), scores(ap50=0.9199))), ["loss"]),
        (
            compare(old=(scores(ap50=0.97, ap50__star=0.97), scores(ap50=0.96, ap50__star=0.7699))),
            ["class_loss"],
        ),
        (compare(new=(0.0, math.nan)), ["least"]),
        (compare(old=(scores(ap50=0.97), scores(loss=0.1))), ["loss"]),
    ],
    ids=["too low", "worse than the base", "forgot", "forgot one class", "not a number", "no score at all"],
)
def test_each_limit_stops_a_version_by_itself(comparison: Comparison, guilty: list[str]) -> None:
    judged = verdict(comparison)
    assert not judged.passed
    assert failed(judged) == guilty


def test_a_slower_version_is_stopped() -> None:
    judged = verdict(compare(), latency=(0.02, 0.0301))
    assert failed(judged) == ["latency"]
    assert str(judged.checks[-1]).startswith("FAIL  one answer takes 0.0301 s")


def test_a_score_exactly_at_its_limit_passes_whatever_binary_fractions_make_of_it() -> None:
    fell = compare(new=(0.5, 0.5), old=(scores(ap50=0.9), scores(ap50=0.85)))  # 0.9 - 0.85 > 0.05 in binary
    assert verdict(fell, latency=(0.02, 0.03)).passed


def test_the_class_that_fell_most_is_named() -> None:
    old = (
        scores(ap50=0.9, ap50__star=0.9, ap50__heart=0.9, ap50__arrow=0.1),
        scores(ap50=0.9, ap50__star=0.8, ap50__heart=0.6),
    )
    (check,) = [check for check in verdict(compare(old=old)).checks if check.name == "class_loss"]
    assert check.sentence == (
        "ap50 of the old class that fell most, heart, changes by -0.3000, from 0.9000 to 0.6000; at least -0.2"
    )
    assert check.value == pytest.approx(-0.3)


def test_limits_are_the_settings_own() -> None:
    strict = GateLimits(least=0.95, gain=0.95, loss=0, class_loss=0, latency=1)
    assert failed(verdict(compare(), limits=strict)) == ["least", "gain", "loss", "latency"]


def test_few_examples_are_told_and_change_no_limit() -> None:
    few = verdict(compare(examples=19))
    assert few.checks == verdict(compare(examples=20)).checks
    assert few.notes[0] == "the new data has 19 examples to judge by; scores on fewer than 20 say little"
    assert len(few.notes) == 2
    assert verdict(compare(examples=20)).notes == ()


def test_a_version_without_old_data_is_judged_by_the_rest_and_that_is_told() -> None:
    judged = verdict(compare(old=None))
    assert judged.passed
    assert [check.name for check in judged.checks] == ["least", "gain", "latency"]
    assert str(judged).splitlines()[-1].startswith("note  nothing old to judge by")
