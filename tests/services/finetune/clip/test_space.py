"""How far the vectors of a version have moved from those of another."""

from pathlib import Path

import numpy as np
import pytest
import torch

from services.clip.items import Vector
from services.clip.model import Clip, Item
from services.finetune.clip import space
from services.finetune.clip.vectors import served, trial
from services.finetune.data.examples import PairExample, Place, Source
from tests.services.clip.clip_versions import picture
from tests.services.finetune.towers.pictures_of import base


@pytest.fixture(scope="module")
def model() -> Clip:
    return served(base("clip").path)


def changed(model: Clip, part: str, by: float) -> Clip:
    """The model with a projection that is moved by a share of its own spread."""
    other = trial(model.serving.state, served(base("clip").path).serving.state.module)
    weight = other.serving.state.module.get_parameter(f"{part}.weight")
    with torch.no_grad():
        weight.add_(by * weight.std() * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    return other


def test_a_model_has_not_moved_from_itself(model: Clip) -> None:
    assert space.shift(model, model, space.probes([])) == pytest.approx(0, abs=1e-6)


def test_the_shift_grows_with_the_change(model: Clip) -> None:
    probes = space.probes([])
    little, much = (space.shift(model, changed(model, "visual_projection", by), probes) for by in (0.02, 1.0))
    assert 0 < little < 0.02 < much < 1


def test_texts_count_like_pictures_though_they_are_fewer(model: Clip) -> None:
    probes = space.Probes(["a red circle"], [picture(number) for number in range(9)])
    other = changed(model, "text_projection", 1.0)
    turned = 1 - float(np.dot(*(_said(one, probes.texts[0]) for one in (model, other))))
    assert space.shift(model, other, probes) == pytest.approx(turned / 2, abs=1e-5)


def _said(model: Clip, text: str) -> Vector:
    (answer,) = model.predict([model.preprocess(Item(text))])
    return answer.vector


def test_the_old_examples_are_the_probes_where_there_are_some(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(picture(1))
    old = [PairExample(Source(tmp_path / "1.png"), text, None, Place(tmp_path)) for text in ("b", "a", "b")]
    assert space.probes(old) == (["a", "b"], [picture(1)] * 3)
    assert len(space.probes(old * 500).pictures) <= space.MOST


def test_a_version_tells_its_shift_and_one_of_its_own_has_none(tmp_path: Path) -> None:
    assert space.kept(tmp_path) is None
    space.keep(tmp_path, base="space:0123", moved=0.0123456)
    assert space.kept(tmp_path) == 0.01235
