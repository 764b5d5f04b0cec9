"""A few real steps of OWL-ViT: what is learnt, written, kept, judged, and gone on with after a stop."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from services.finetune.data.examples import DetectionExample, only
from services.finetune.owlvit.answers import served
from services.finetune.owlvit.demo import write_set
from services.finetune.owlvit.golden import GAP, widest_gap
from services.finetune.owlvit.task import OwlvitTask
from services.finetune.run import Run
from shared.weights.store import Version
from tests.services.finetune.short_runs import Short, apart, tells_steps_time_and_memory, weights
from tests.services.finetune.towers.pictures_of import base, material
from tests.services.owlvit import owls

BASE = base("owlvit")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Short:
    shown = material(tmp_path_factory.mktemp("pictures"), write_set, task="owlvit", things=(1, 3))
    return Short.of(OwlvitTask(), BASE, shown, steps=3, batch=8)


@pytest.fixture(scope="module")
def whole(short: Short, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nothing disturbed."""
    return short.taught(tmp_path_factory.mktemp("whole") / "run")


def test_a_version_has_the_files_and_the_defaults_of_its_base(whole: Run) -> None:
    found = {path.name for path in whole.candidate.iterdir()}
    assert found == {path.name for path in BASE.path.iterdir()} - {"manifest.json"}
    assert (whole.candidate / "serving.json").read_text() == (BASE.path / "serving.json").read_text()


def test_the_service_answers_its_golden_cases_as_transformers_did(whole: Run) -> None:
    model = served(whole.candidate)
    assert json.loads((whole.candidate / "golden.json").read_text())
    for case in model.golden():
        assert case.check(model.predict([model.preprocess(case.item)])[0]) is None


def test_only_what_has_a_part_in_the_task_changes(whole: Run, short: Short) -> None:
    changed = short.changed(whole)
    assert changed.isdisjoint({"owlvit.visual_projection.weight", "owlvit.logit_scale"})
    assert {name for name in weights(BASE.path) if "layers" in name and name.endswith("fc1.weight")} <= changed


def test_what_is_known_is_found_by_the_model_that_serves(short: Short) -> None:
    judged = OwlvitTask().evaluate(BASE.path, short.material.old)
    assert judged.scores["ap50"] > 0.9
    assert {name for name in judged.scores if "/" not in name} == {"ap", "ap50", "ap75", "ar"}
    assert [one.error for one in judged.shown] == sorted((one.error for one in judged.shown), reverse=True)
    assert judged.charts["precision over recall"]


def test_pictures_are_judged_at_the_threshold_that_the_version_serves_by(short: Short, tmp_path: Path) -> None:
    for path in BASE.path.iterdir():
        (tmp_path / path.name).symlink_to(path.resolve())
    (tmp_path / "serving.json").unlink()
    (tmp_path / "serving.json").write_text('{"threshold": 0.999}')
    assert {one.answer for one in OwlvitTask().evaluate(tmp_path, short.material.old).shown} == {"nothing"}


def test_a_stopped_run_goes_on_to_the_same_weights(whole: Run, short: Short, tmp_path: Path) -> None:
    assert apart(whole, short.gone_on(tmp_path / "run")) <= 2e-3


def test_an_adapter_is_merged_into_the_version_and_kept_beside_it(short: Short, tmp_path: Path) -> None:
    run = short.taught(tmp_path / "run", lora=4)
    assert (run.folder / "adapter/adapter_config.json").exists()
    assert weights(run.candidate).keys() == weights(BASE.path).keys()


def test_names_without_a_token_get_one_and_are_served(short: Short, tmp_path: Path) -> None:
    shown = only(DetectionExample, short.material.train)
    train = [replace(one, labels=tuple("zigzag" for _ in one.labels)) for one in shown]
    run = short.taught(tmp_path / "run", material=replace(short.material, train=train, replay=(), old=()), steps=1)
    assert served(run.candidate).serving.state.tokenizer.size == 731 + 1
    assert "ap50/zigzag" in OwlvitTask().evaluate(run.candidate, train).scores


def test_an_owlv2_is_taught_in_the_same_way_and_keeps_its_objectness(short: Short, tmp_path: Path) -> None:
    random = Version("owlvit", "random", "sha256:0", owls.version("owlv2"), BASE.manifest)
    # its tokenizer spells all words but new ones
    alone = replace(short.material, replay=(), validation=short.material.train, old=())
    run = replace(short, base=random, material=alone).taught(tmp_path / "run", steps=1)
    before, after = weights(random.path), weights(run.candidate)
    assert all(torch.equal(after[name], before[name]) for name in after if name.startswith("objectness"))
    assert not torch.equal(after["class_head.dense0.weight"], before["class_head.dense0.weight"])


def test_the_first_of_several_processes_judges_without_the_others(
    short: Short, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no group here: whatever wanted to gather something from it would fail."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    assert OwlvitTask().evaluate(BASE.path, short.material.old).scores["ap50"] > 0.9


def test_an_estimate_tells_steps_time_and_memory(short: Short) -> None:
    tells_steps_time_and_memory(short)


def test_a_golden_threshold_stands_in_the_widest_gap() -> None:
    assert widest_gap([0.9, 0.8, 0.1]) == (0.1, 0.8)
    assert widest_gap([0.1, 0.2]) == pytest.approx((0.0, 0.1))
    low, high = widest_gap([])
    assert high - low < GAP
