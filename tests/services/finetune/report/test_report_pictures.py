"""The answers that the page shows, and how large they may be."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from services.finetune.comparison import Comparison
from services.finetune.report.pictures import chosen, embedded
from services.finetune.task import Evaluation, Shown


def answers(count: int) -> Evaluation:
    picture = Image.new("RGB", (8, 8))
    return Evaluation({}, shown=[Shown(str(number), float(number), picture) for number in range(count)])


def shown(new: int, old: int) -> list[tuple[str, str]]:
    compared = Comparison(Evaluation({}), answers(new), Evaluation({}), answers(old), 1, 1)
    return [(side, one.title) for side, one in chosen(compared)]


def test_the_worst_of_both_sides_are_chosen() -> None:
    assert shown(2, 1) == [("new", "1"), ("new", "0"), ("old", "0")]
    sides = [side for side, _ in shown(24, 24)]
    assert (sides.count("new"), sides.count("old")) == (16, 8)
    sides = [side for side, _ in shown(24, 3)]
    assert (sides.count("new"), sides.count("old")) == (21, 3)
    assert len(shown(3, 24)) == 24


def test_pictures_are_made_smaller_until_they_fit_the_budget() -> None:
    rng = np.random.default_rng(1)
    noise = [Image.fromarray(rng.integers(0, 256, (600, 900, 3), dtype=np.uint8)) for _ in range(3)]
    large, small = embedded(noise, 3_000_000), embedded(noise, 200_000)
    assert sum(map(len, small)) <= 200_000 < sum(map(len, large)) <= 3_000_000
    assert len(small) == len(large) == 3
    decoded = Image.open(io.BytesIO(base64.b64decode(small[0].partition(",")[2])))
    assert decoded.width / decoded.height == pytest.approx(1.5, rel=0.01)


def test_what_fits_in_no_size_is_left_out_from_the_end() -> None:
    one = Image.new("RGB", (160, 100), "teal")  # no larger than the smallest size
    (uri,) = embedded([one])
    assert embedded([one] * 5, round(2.5 * len(uri))) == [uri, uri]
    assert embedded([one], 10) == []
