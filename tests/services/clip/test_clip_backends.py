"""The shipped CLIP by OpenVINO: the same vectors as by torch, or torch's own."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from structlog.testing import capture_logs

from services.clip import towers
from services.clip.items import Item, Vector
from services.clip.model import Clip
from services.clip.towers import ImageTower
from shared.accel import openvino
from shared.accel.backends import Backend
from shared.serving.batch import Lane
from shared.serving.queue import BatchQueue
from shared.weights.seed import shipped
from tests.services.clip.clip_versions import VISION, picture, random_clip
from tests.shared.serving.trials import tried

torch.set_num_threads(1)

CPU = torch.device("cpu")
(VERSION,) = (shipped() / "models/clip").iterdir()
ITEMS = [*(Item(data=picture(seed, 90 + 30 * seed)) for seed in range(7)), Item(text="a photo of a red circle")]


def serving(backend: str = "eager", dtype: torch.dtype = torch.float32) -> Clip:
    """The shipped weights, taken over as a service does it: their golden cases passed."""
    clip = Clip(CPU, dtype, backend=Backend(backend))
    lane = Lane("clip-backends", lambda: clip, BatchQueue(limit=4, max_items=8, max_cost=10**9))
    tried(lane, VERSION)
    return clip


def vectors(clip: Clip, items: Sequence[Item] = ITEMS) -> Vector:
    return np.stack([one.vector for one in clip.predict([clip.preprocess(item) for item in items])])


@pytest.fixture(scope="module")
def eager() -> Clip:
    return serving()


def test_every_batch_has_the_vectors_that_torch_gives(eager: Clip) -> None:
    clip = serving("openvino")
    assert (clip.describe()["backend"], eager.describe()["backend"]) == ("openvino", "eager")
    assert clip.space == eager.space
    for size in range(1, 9):
        assert np.abs(vectors(clip, ITEMS[:size]) - vectors(eager, ITEMS[:size])).max() < 1e-5


def test_bfloat16_turns_no_vector_by_more_than_it_may(eager: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(towers, "AGREEMENT", 0.99)  # the demo weights turn by 0.0011 on a ramp, and would be refused
    clip = serving("openvino", torch.bfloat16)
    described = clip.describe()
    assert (described["backend"], described["dtype"]) == ("openvino", "bfloat16")
    assert (vectors(clip) * vectors(eager)).sum(axis=1).min() >= 0.99


def test_a_wrong_image_tower_is_refused_and_torch_answers(eager: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    other = random_clip(seed=3, vision=VISION | {"image_size": 128}, projection_dim=eager.dimensions)
    make = openvino.compiled
    monkeypatch.setattr(openvino, "compiled", lambda _, *given, **how: make(ImageTower(other), *given, **how))
    with capture_logs() as lines:
        clip = serving("openvino")
    assert [line["backend"] for line in lines if line["event"] == "backend_refused"] == ["openvino"]
    assert clip.describe()["backend"] == "eager"
    assert np.array_equal(vectors(clip), vectors(eager))
