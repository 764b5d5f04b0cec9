"""Pictures of training are those of serving, read once while there is room."""

from pathlib import Path

import pytest
import torch

from services.finetune.data.examples import Source
from services.finetune.errors import DataError
from services.finetune.towers.pictures import Pictures
from shared.accel.pixels import prepare, read_pixel_config
from shared.settings import Limits
from tests.services.clip.clip_versions import picture

SHIPPED = Path(__file__).parents[4] / "models/models"
CONFIGS = [read_pixel_config(SHIPPED / version) for version in ("clip/shapes-2", "owlvit/shapes-2")]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "1.png").write_bytes(picture(1, 200, 90))
    return Source(tmp_path / "1.png")


@pytest.mark.parametrize("config", CONFIGS, ids=["clip", "owlvit"])
def test_a_picture_is_prepared_as_serving_prepares_it(source: Source, config: object) -> None:
    assert torch.equal(Pictures(config)[source], prepare(source.read(), config, Limits()))  # type: ignore[arg-type]


def test_a_picture_that_has_room_is_read_once(source: Source) -> None:
    pictures = Pictures(CONFIGS[0])
    first = pictures[source]
    source.path.unlink()
    assert pictures[source] is first


def test_without_room_it_is_read_each_time(source: Source) -> None:
    pictures = Pictures(CONFIGS[0], room=100)
    assert pictures[source] is not pictures[source]


def test_a_picture_that_serving_would_refuse_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(picture(1)[:200])
    with pytest.raises(DataError, match=r"broken\.png"):
        Pictures(CONFIGS[0])[Source(tmp_path / "broken.png")]
