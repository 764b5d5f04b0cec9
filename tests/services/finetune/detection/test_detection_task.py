import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from services.detection.model import Detector
from services.finetune.data.examples import DetectionExample
from services.finetune.detection.task import DetectionTask
from services.finetune.errors import DataError, JobError
from services.finetune.run import Run
from services.finetune.task import Material
from shared.accel.checkpoint import read_state
from tests.services.finetune.detection.pictures_on_disk import material, shipped
from tests.services.finetune.training.lessons import settings

TASK = DetectionTask()
SHORT = settings(steps=2, batch=2, evaluations=1)


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(tmp_path_factory.mktemp("material"))


@pytest.mark.parametrize("model", ["ssd", "faster-rcnn", "mask-rcnn"])
def test_two_steps_make_files_that_the_service_reads_and_serves(model: str, little: Material, tmp_path: Path) -> None:
    base = shipped(model, tmp_path)
    candidate = TASK.train(base, little, Run(tmp_path), SHORT)
    served = Detector(torch.device("cpu"))
    served.use(served.read(candidate))
    tensors = read_state(candidate / "model.safetensors").values()

    assert candidate == tmp_path / "candidate"
    assert list(served.labels)[:8] == json.loads((base.path / "config.json").read_text())["labels"]
    assert list(served.labels)[8:] == ["arrow", "crescent"]
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.float16}
    for case in served.golden():
        (found,) = served.predict([served.preprocess(case.item)])
        assert case.check(found) is None


def test_what_learns_changes_and_what_is_frozen_does_not(little: Material, tmp_path: Path) -> None:
    base = shipped("ssd", tmp_path)
    frozen = settings(steps=2, batch=2, evaluations=1, freeze=("backbone.body",))
    after = read_state(TASK.train(base, little, Run(tmp_path), frozen) / "model.safetensors")
    before = read_state(base.path / "model.safetensors")
    same = {
        name for name in before if before[name].shape == after[name].shape and torch.equal(before[name], after[name])
    }

    assert {name for name in before if name.startswith("backbone.body.")} <= same
    assert "backbone.join.0.weight" not in same


def test_an_estimate_tells_what_a_run_would_take(little: Material, tmp_path: Path) -> None:
    told = TASK.estimate(shipped("ssd", tmp_path), little, settings(steps=None, batch=2))
    assert told["steps"] == 60
    assert told["seconds"] > 0.1
    assert told["memory_bytes"] > 10**7


@pytest.mark.parametrize("model", ["ssd", "mask-rcnn"])
def test_an_adapter_is_merged_into_what_serves_and_kept_beside(model: str, little: Material, tmp_path: Path) -> None:
    base = shipped(model, tmp_path)
    candidate = TASK.train(base, little, Run(tmp_path), settings(steps=2, batch=2, evaluations=1, lora=2))
    before, after = (read_state(path / "model.safetensors") for path in (base.path, candidate))
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}

    assert before.keys() == after.keys()
    assert {"backbone.body.conv1.weight", "backbone.body.layer3.0.conv2.weight"} <= moved
    assert not any("bn" in name for name in moved)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
    assert list(Detector(torch.device("cpu")).read(candidate).config.labels)[8:] == ["arrow", "crescent"]


def test_freezing_beside_an_adapter_is_refused(little: Material, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="Leave out --freeze"):
        TASK.train(shipped("ssd", tmp_path), little, Run(tmp_path), settings(lora=8, freeze=("backbone",)))


def test_masks_cannot_be_learnt_from_pictures_without_them(little: Material, tmp_path: Path) -> None:
    bare = replace(
        little, train=[replace(one, masks=None) for one in little.train if isinstance(one, DetectionExample)]
    )
    with pytest.raises(DataError, match=r"annotations\.json.*learns masks"):
        TASK.train(shipped("mask-rcnn", tmp_path), bare, Run(tmp_path), SHORT)


def test_without_new_classes_the_labels_stay(little: Material, tmp_path: Path) -> None:
    old = replace(little, train=little.replay, validation=little.old, replay=())
    candidate = TASK.train(shipped("ssd", tmp_path), old, Run(tmp_path), SHORT)
    assert len(json.loads((candidate / "config.json").read_text())["labels"]) == 8
    assert json.loads((candidate / "golden.json").read_text())


def test_what_it_reads_is_coco(little: Material) -> None:
    again = TASK.read(little.train[0].place.file)
    assert again.examples[:4] == tuple(little.train)
    assert not again.problems
