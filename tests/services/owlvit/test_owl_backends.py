"""The OWL family by OpenVINO: the same boxes and scores as by torch."""

from pathlib import Path

import pytest
import torch

from services.owlvit.model import Item, OwlVit, TextQuery
from shared.accel.backends import Backend
from shared.images.detections import Detections
from shared.serving.batch import Lane
from shared.serving.queue import BatchQueue
from shared.weights.seed import shipped
from tests.services.owlvit.owls import ALL, CPU, FILES, LABELS, ask, version
from tests.shared.serving.trials import tried

(SHIPPED,) = (shipped() / "models/owlvit").iterdir()
SHAPES = ask("red circle", "blue star", template="a photo of a {}")


def serving(path: Path, backend: str = "eager") -> OwlVit:
    """Weights that were taken over as a service does it: their golden cases, if they have any, passed."""
    lane = Lane(
        "owl-backends",
        lambda: OwlVit(CPU, backend=Backend(backend)),
        BatchQueue(limit=4, max_items=8, max_cost=10**9),
    )
    owl: OwlVit = tried(lane, path).model
    return owl


def answers(owl: OwlVit, size: int, query: TextQuery) -> list[Detections]:
    items = [Item(FILES[number % len(FILES)], query, ALL) for number in range(size)]
    return list(owl.predict([owl.preprocess(item) for item in items]))


def assert_same(found: Detections, expected: Detections) -> None:
    """Equal scores may come in another order: each box is looked for among those of its score."""
    assert [one.score for one in found.items] == pytest.approx([one.score for one in expected.items], abs=1e-4)
    for one in found.items:
        near = [other.box for other in expected.items if abs(other.score - one.score) < 1e-3]
        assert any(one.box == pytest.approx(box, abs=0.05) for box in near)


def test_every_batch_of_the_shipped_detector_has_the_boxes_that_torch_finds() -> None:
    eager, owl = serving(SHIPPED), serving(SHIPPED, "openvino")
    assert (eager.describe()["backend"], owl.describe()["backend"]) == ("eager", "openvino")
    for size in range(1, 9):
        for found, expected in zip(answers(owl, size, SHAPES), answers(eager, size, SHAPES), strict=True):
            assert len(found.items) == len(expected.items) > 50
            assert_same(found, expected)


def test_owlv2_runs_there_as_well() -> None:
    eager, owl = serving(version("owlv2")), serving(version("owlv2"), "openvino")
    assert owl.describe()["backend"] == "openvino"
    for found, expected in zip(answers(owl, 3, ask(*LABELS)), answers(eager, 3, ask(*LABELS)), strict=True):
        assert_same(found, expected)


def test_bfloat16_serves_where_its_patches_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.accel.backends.AGREEMENT", {torch.bfloat16: 0.9999999})
    refusing = OwlVit(CPU, torch.bfloat16, backend=Backend("openvino"))
    refusing.use(refusing.read(SHIPPED))
    assert (refusing.describe()["backend"], refusing.describe()["dtype"]) == ("eager", "bfloat16")
    monkeypatch.undo()
    owl = OwlVit(CPU, torch.bfloat16, backend=Backend("openvino"))
    owl.use(owl.read(SHIPPED))
    assert owl.describe()["backend"] == "openvino"
