"""The stages of the demo LLaVA's training: how long, how fast, and what is asked how often.

look-up     terse questions: looking up, comparing and counting are learnt here
dialogues   sentences, two pictures, questions before their picture; many captions
joint       the same, and the tower learns too
once more   and again from a high rate, with more counting and places
"""

from dataclasses import dataclass

from services.finetune.demo.dialogues import Weights
from services.finetune.demo.learner import Rates


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training with a schedule of its own."""

    name: str
    steps: int
    horizon: int  # steps after which the rates would be lowest
    rates: Rates
    weights: Weights
    probes: int = 0  # bins of each row, as long as `probe_steps`
    probe_steps: int = 0
    mixed: bool = True  # whether there are two pictures, or questions before the picture
    joint: bool = False  # whether the tower learns too


STAGES = (
    Stage(
        "look-up",
        steps=1200,
        horizon=3200,
        rates=Rates(muon={"": 4e-3}, adam={"projector": 2e-4, "": 2e-3}, warm_up=60),
        probes=2,
        probe_steps=1200,
        mixed=False,
        weights={
            "count": 1.3,
            "colour_count": 1.5,
            "pair_count": 1.2,
            "total": 0.5,
            "colour": 0.9,
            "shape": 0.9,
            "pair": 2.5,
            "single": 1.0,
            "where": 1.3,
            "where_one": 1.0,
            "absent": 0.3,
            "caption": 1.5,
        },
    ),
    Stage(
        "dialogues",
        steps=1000,
        horizon=2000,
        rates=Rates(muon={"": 3e-3}, adam={"projector": 1.5e-4, "": 1.5e-3}, warm_up=30),
        probes=1,
        probe_steps=800,
        weights={
            "count": 1.4,
            "colour_count": 1.6,
            "pair_count": 0.8,
            "total": 0.5,
            "colour": 0.7,
            "shape": 0.6,
            "pair": 2.3,
            "single": 0.5,
            "where": 1.2,
            "where_one": 0.8,
            "absent": 0.4,
            "caption": 2.5,
        },
    ),
    Stage(
        "joint",
        steps=1100,
        horizon=1100,
        rates=Rates(muon={"tower": 1e-3, "": 1.5e-3}, adam={"tower": 2e-4, "projector": 7e-5, "": 7e-4}, warm_up=30),
        joint=True,
        weights={
            "count": 1.4,
            "colour_count": 1.2,
            "pair_count": 0.6,
            "total": 0.5,
            "colour": 0.6,
            "shape": 0.5,
            "pair": 1.6,
            "single": 0.3,
            "where": 1.0,
            "where_one": 0.6,
            "absent": 0.3,
            "caption": 4.0,
        },
    ),
    Stage(
        "once more",
        steps=700,
        horizon=700,
        rates=Rates(muon={"tower": 1e-3, "": 1.5e-3}, adam={"tower": 2e-4, "projector": 7e-5, "": 7e-4}, warm_up=20),
        joint=True,
        weights={
            "count": 2.2,
            "colour_count": 1.3,
            "pair_count": 0.8,
            "total": 0.6,
            "colour": 0.5,
            "shape": 0.4,
            "pair": 1.3,
            "single": 0.3,
            "where": 1.8,
            "where_one": 1.0,
            "absent": 0.3,
            "caption": 3.5,
        },
    ),
)
