"""A few real steps of OWL-ViT: what is learnt, written, kept, judged, and gone on with after a stop."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from services.finetune.data.examples import DetectionExample
from services.finetune.errors import Stopped
from services.finetune.owlvit.answers import served
from services.finetune.owlvit.demo import write_set
from services.finetune.owlvit.golden import GAP, widest_gap
from services.finetune.owlvit.task import OwlvitTask
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Material
from shared.accel.checkpoint import read_state
from shared.weights.store import Version
from tests.services.finetune.towers.disturbed import Disturbed
from tests.services.finetune.towers.pictures_of import base, material
from tests.services.owlvit import owls

torch.set_num_threads(1)

SETTINGS = JobSettings(steps=3, batch=8, evaluations=1, threads=1, device="cpu", precision="float32")
BASE = base("owlvit")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(tmp_path_factory.mktemp("pictures"), write_set, task="owlvit", things=(1, 3))


@pytest.fixture(scope="module")
def whole(shown: Material, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nothing disturbed."""
    return taught(shown, tmp_path_factory.mktemp("whole") / "run")


def taught(shown: Material, folder: Path, **changes: Any) -> Run:
    run = Run.begin(folder)
    OwlvitTask().train(BASE, shown, run, SETTINGS.model_copy(update=changes))
    return run


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value.float() for name, value in read_state(folder / "model.safetensors").items()}


def test_a_version_has_the_files_and_the_defaults_of_its_base(whole: Run) -> None:
    found = {path.name for path in whole.candidate.iterdir()}
    assert found == {path.name for path in BASE.path.iterdir()} - {"manifest.json"}
    assert (whole.candidate / "serving.json").read_text() == (BASE.path / "serving.json").read_text()


def test_the_service_answers_its_golden_cases_as_transformers_did(whole: Run) -> None:
    model = served(whole.candidate)
    assert json.loads((whole.candidate / "golden.json").read_text())
    for case in model.golden():
        assert case.check(model.predict([model.preprocess(case.item)])[0]) is None


def test_only_what_has_a_part_in_the_task_changes(whole: Run) -> None:
    before, after = weights(BASE.path), weights(whole.candidate)
    same = {name for name, value in after.items() if torch.equal(value, before[name])}
    assert same >= {"owlvit.visual_projection.weight", "owlvit.logit_scale"}
    assert not any("layers" in name and name.endswith("fc1.weight") for name in same)


def test_what_is_known_is_found_by_the_model_that_serves(shown: Material) -> None:
    judged = OwlvitTask().evaluate(BASE.path, shown.old)
    assert judged.scores["ap50"] > 0.9
    assert {name for name in judged.scores if "/" not in name} == {"ap", "ap50", "ap75", "ar"}
    assert [one.error for one in judged.shown] == sorted((one.error for one in judged.shown), reverse=True)
    assert judged.charts["precision over recall"]


def test_pictures_are_judged_at_the_threshold_that_the_version_serves_by(shown: Material, tmp_path: Path) -> None:
    for path in BASE.path.iterdir():
        (tmp_path / path.name).symlink_to(path.resolve())
    (tmp_path / "serving.json").unlink()
    (tmp_path / "serving.json").write_text('{"threshold": 0.999}')
    assert {one.answer for one in OwlvitTask().evaluate(tmp_path, shown.old).shown} == {"nothing"}


def test_a_stopped_run_goes_on_to_the_same_weights(whole: Run, shown: Material, tmp_path: Path) -> None:
    run = Run.begin(tmp_path / "run")
    with pytest.raises(Stopped, match="--resume"):
        OwlvitTask().train(BASE, shown, Disturbed(run.folder), SETTINGS)
    OwlvitTask().train(BASE, shown, run, SETTINGS)
    expected, found = weights(whole.candidate), weights(run.candidate)
    assert all(torch.allclose(value, found[name], atol=2e-3) for name, value in expected.items())


def test_an_adapter_is_merged_into_the_version_and_kept_beside_it(shown: Material, tmp_path: Path) -> None:
    run = taught(shown, tmp_path / "run", lora=4)
    assert (run.folder / "adapter/adapter_config.json").exists()
    assert weights(run.candidate).keys() == weights(BASE.path).keys()


def test_names_without_a_token_get_one_and_are_served(shown: Material, tmp_path: Path) -> None:
    train = [
        replace(one, labels=tuple("zigzag" for _ in one.labels))
        for one in shown.train
        if isinstance(one, DetectionExample)
    ]
    run = taught(replace(shown, train=train, replay=(), old=()), tmp_path / "run", steps=1)
    assert served(run.candidate).serving.state.tokenizer.size == 731 + 1
    assert "ap50/zigzag" in OwlvitTask().evaluate(run.candidate, train).scores


def test_an_owlv2_is_taught_in_the_same_way_and_keeps_its_objectness(shown: Material, tmp_path: Path) -> None:
    path = owls.version("owlv2")
    random = Version("owlvit", "random", "sha256:0", path, BASE.manifest)
    run = Run.begin(tmp_path / "run")
    alone = replace(shown, replay=(), validation=shown.train, old=())  # its tokenizer spells all words but new ones
    OwlvitTask().train(random, alone, run, SETTINGS.model_copy(update={"steps": 1}))
    before, after = weights(path), weights(run.candidate)
    assert all(torch.equal(after[name], before[name]) for name in after if name.startswith("objectness"))
    assert not torch.equal(after["class_head.dense0.weight"], before["class_head.dense0.weight"])


def test_the_first_of_several_processes_judges_without_the_others(
    shown: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no group here: whatever wanted to gather something from it would fail."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    assert OwlvitTask().evaluate(BASE.path, shown.old).scores["ap50"] > 0.9


def test_an_estimate_tells_steps_time_and_memory(shown: Material) -> None:
    told = OwlvitTask().estimate(BASE, shown, SETTINGS)
    assert told["steps"] == 3
    assert told["seconds"] > 0


def test_a_golden_threshold_stands_in_the_widest_gap() -> None:
    assert widest_gap([0.9, 0.8, 0.1]) == (0.1, 0.8)
    assert widest_gap([0.1, 0.2]) == pytest.approx((0.0, 0.1))
    low, high = widest_gap([])
    assert high - low < GAP
