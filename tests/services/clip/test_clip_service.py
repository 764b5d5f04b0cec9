"""A push while a request runs: it is answered by the weights that it began with, in their space."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic_settings import SettingsConfigDict

from services.clip.classify import Question, question
from services.clip.items import Item
from services.clip.labelsets import read_label_sets
from services.clip.main import ClipSettings
from services.clip.model import Clip
from services.clip.schemas import ClassifyRequest
from services.clip.service import WINDOW, Classified, ClipService, Embedded
from shared.serving.engine import Answer
from shared.serving.model import Identity, Weights
from shared.weights.manifest import Card, Made
from shared.weights.store import Store
from tests.services.clip.clip_versions import picture, random_clip, write_version

torch.set_num_threads(1)
TEXTS = [Item(f"text {number}") for number in range(48)]
SETS = read_label_sets(None)


class Settings(ClipSettings):
    """Settings of a test, which has no command line."""

    model_config = SettingsConfigDict(cli_parse_args=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one version of a CLIP, and another version beside it."""
    folder = tmp_path_factory.mktemp("push")
    write_version(folder / "new", random_clip(2))
    source = write_version(folder / "old", random_clip(1))
    (source / "manifest.json").unlink()
    Store(f"file://{folder}/store").publish(source, Card(model="clip", version="v1", made=Made(by="a test")))
    return folder


def soon() -> float:
    return time.monotonic() + 30


async def started(folder: Path) -> ClipService:
    settings = Settings(store=f"file://{folder}/store", state=folder / "state", models=("clip@v1",), device="cpu")
    service = ClipService(settings, lambda: Clip(torch.device("cpu")), SETS)
    await service.start()
    return service


def push_after_first_answers(service: ClipService, folder: Path) -> None:
    """Let the new weights take over between the first items of the next request and its others."""
    engine, infer_all = service.running, service.running.infer_all

    async def push(
        name: str, items: Sequence[Item], *, deadline: float, weights: Weights | None = None
    ) -> list[Answer]:
        engine.infer_all = infer_all  # type: ignore[method-assign]
        answers = await infer_all(name, items, deadline=deadline, weights=weights)
        await engine.take_over("clip", folder / "new", Identity("clip", "v2", "sha256:2"))
        return answers

    engine.infer_all = push  # type: ignore[method-assign]


def test_a_request_is_answered_by_the_weights_that_it_began_with_though_a_push_comes_between(folder: Path) -> None:
    async def scenario() -> tuple[Embedded, Embedded, Embedded]:
        service = await started(folder)
        before = await service.embed(service.space("clip"), TEXTS, deadline=soon())
        push_after_first_answers(service, folder)
        cut = await service.embed(service.space("clip"), TEXTS, deadline=soon())
        after = await service.embed(service.space("clip"), TEXTS, deadline=soon())
        await service.close()
        return before, cut, after

    before, cut, after = asyncio.run(scenario())
    assert before.space.id != after.space.id
    assert cut.space == before.space
    assert {answer.identity.version for answer in cut.answers} == {"v1"}
    assert np.allclose(cut.vectors, before.vectors, atol=1e-5)
    assert not np.allclose(before.vectors, after.vectors, atol=1e-2)


def test_class_vectors_of_the_old_weights_are_never_compared_with_pictures_of_the_new(folder: Path) -> None:
    asked: Question = question(ClassifyRequest.model_validate({"label_set": "shapes", "templates": ["{}"]}), SETS)
    pictures = [Item(data=picture(1), field="image")] * (WINDOW + 1)  # the push comes before the last of them

    async def scenario() -> list[Classified]:
        service = await started(folder)
        old = [await service.classify(service.space("clip"), asked, pictures, deadline=soon()) for _ in range(2)]
        push_after_first_answers(service, folder)
        new = [await service.classify(service.space("clip"), asked, pictures, deadline=soon()) for _ in range(3)]
        await service.close()
        return [*old, *new]

    found = asyncio.run(scenario())
    by_space = {one.pictures.space.id: one.scores for one in found}
    assert len(by_space) == 2
    assert not np.allclose(found[0].scores, found[-1].scores, atol=1e-3)
    for one in found:
        assert np.allclose(one.scores, by_space[one.pictures.space.id], atol=1e-5)
