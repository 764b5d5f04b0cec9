import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

from services.detection.architectures import DetectorConfig, Family, build
from services.finetune.demo.detector_batches import tensor
from services.finetune.demo.detector_metrics import evaluate
from services.finetune.demo.detector_training import Schedule, train
from services.finetune.demo.detectors import HELD_OUT_SEED, RECIPES, Recipe, main, make
from services.finetune.demo.scenes import World
from shared.accel.checkpoint import read_state
from shared.weights.errors import NotInStore, VersionExists
from shared.weights.store import Store

SHIPPED = Store(str(Path(__file__).resolve().parents[4] / "models"))


def short(model: Family) -> Recipe:
    return replace(RECIPES[model], schedule=Schedule(steps=3, pictures=2), scenes=4)


def network(folder: Path) -> torch.nn.Module:
    model = build(DetectorConfig.model_validate_json((folder / "config.json").read_bytes()))
    model.load_state_dict(read_state(folder / "model.safetensors"))
    return model


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store in which the recipes ran one after the other, for three steps each."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    for model in RECIPES.values():
        make(short(model.model), store)
    return store


@pytest.mark.parametrize("model", RECIPES)
def test_three_steps_go_from_scenes_to_a_champion_that_the_architecture_loads(
    store: Store, model: str, tmp_path: Path
) -> None:
    version = store.fetch(model, tmp_path)
    state = read_state(version.path / "model.safetensors")

    assert version.version == "shapes-1"
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float16}
    assert network(version.path)([torch.rand(3, 100, 130)])[0].keys() >= {"boxes", "labels", "scores"}


def test_the_manifest_tells_how_the_weights_were_made(store: Store) -> None:
    manifest = store.manifest("mask-rcnn", "shapes-1")

    assert manifest.base == f"faster-rcnn@shapes-1 {store.resolve('faster-rcnn').digest}"
    assert manifest.made.parameters["steps"] == 3
    assert manifest.made.parameters["seed"] == 1
    assert manifest.data is not None
    assert manifest.data.sha256 is not None
    assert manifest.metrics.keys() >= {"map", "map_50", "map_75"}


def test_the_data_hash_follows_what_is_rendered() -> None:
    recipe = RECIPES["ssd"]
    assert recipe.data == replace(recipe, scenes=1, version="other").data
    assert recipe.data.sha256 != replace(recipe, seed=2).data.sha256
    assert recipe.data.sha256 != replace(recipe, world=World(noise=0)).data.sha256


def test_a_version_that_exists_is_refused_before_any_work(store: Store) -> None:
    with pytest.raises(VersionExists, match="name another --version"):
        make(replace(RECIPES["ssd"], schedule=Schedule(steps=10**9)), store)


def test_without_the_weights_to_start_from_nothing_is_trained(tmp_path: Path) -> None:
    with pytest.raises(NotInStore, match="ssd"):
        make(replace(RECIPES["faster-rcnn"], schedule=Schedule(steps=10**9)), Store(str(tmp_path)))


def test_the_command_line_ends_with_a_sentence_when_the_store_refuses(store: Store) -> None:
    with pytest.raises(SystemExit, match="exists in"):
        main(["--model", "ssd", "--output", store.url])


def test_training_twice_from_one_seed_gives_the_same_weights() -> None:
    def weights() -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = build(RECIPES["ssd"].config)
        train(model, World(), Schedule(steps=2, pictures=2), seed=4)
        return model.state_dict()

    first, second = weights(), weights()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("model", "floor"), [("ssd", 0.95), ("faster-rcnn", 0.97), ("mask-rcnn", 0.97)])
def test_the_shipped_weights_find_what_other_scenes_show(model: Family, floor: float, tmp_path: Path) -> None:
    version = SHIPPED.fetch(f"{model}@shapes-1", tmp_path)
    figures = evaluate(network(version.path), RECIPES[model].world, seed=HELD_OUT_SEED + 10, scenes=36)

    assert figures["map_50"] > floor
    assert figures.get("mask_iou", 1.0) > 0.88
    assert (version.path / "model.safetensors").stat().st_size < 4_000_000


@pytest.mark.parametrize("model", RECIPES)
def test_the_shipped_weights_answer_their_golden_cases(model: Family, tmp_path: Path) -> None:
    folder = SHIPPED.fetch(f"{model}@shapes-1", tmp_path).path
    cases = json.loads((folder / "golden.json").read_text())
    labels = RECIPES[model].config.labels

    assert len(cases) == 3
    for case in cases:
        with Image.open(io.BytesIO((folder / case["image"]).read_bytes())) as picture, torch.inference_mode():
            (answer,) = network(folder)([tensor(np.array(picture))])
        sure = answer["scores"] >= case["threshold"]
        assert [labels[label - 1] for label in answer["labels"][sure]] == [one["label"] for one in case["objects"]]
        overlap = box_iou(answer["boxes"][sure], torch.tensor([one["box"] for one in case["objects"]]))
        assert overlap.diagonal().min() > 0.98
