"""A few real steps of CLIP: what is learnt, written, kept, and gone on with after a stop."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from services.finetune.clip.demo import write_set
from services.finetune.clip.task import ClipTask
from services.finetune.clip.vectors import served
from services.finetune.data.examples import PairExample, only
from services.finetune.errors import JobError, Stopped
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Material
from shared.accel.checkpoint import read_state
from tests.services.finetune.towers.disturbed import Disturbed
from tests.services.finetune.towers.pictures_of import base, material

torch.set_num_threads(1)

SETTINGS = JobSettings(steps=3, batch=8, evaluations=1, threads=1, device="cpu", precision="float32")
BASE = base("clip")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(tmp_path_factory.mktemp("pictures"), write_set, task="clip", things=(1, 1))


@pytest.fixture(scope="module")
def whole(shown: Material, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nothing disturbed."""
    return taught(shown, tmp_path_factory.mktemp("whole") / "run")


def taught(shown: Material, folder: Path, **changes: Any) -> Run:
    run = Run.begin(folder)
    ClipTask().train(BASE, shown, run, SETTINGS.model_copy(update=changes))
    return run


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: value.float() for name, value in read_state(folder / "model.safetensors").items()}


def changed(run: Run) -> set[str]:
    before, after = weights(BASE.path), weights(run.candidate)
    return {name for name, value in after.items() if not torch.equal(value, before[name])}


def test_a_version_has_the_files_of_its_base_and_tells_its_shift(whole: Run) -> None:
    found = {path.name for path in whole.candidate.iterdir()}
    assert found == ({path.name for path in BASE.path.iterdir()} - {"manifest.json"}) | {"space.json"}
    assert {value.dtype for value in read_state(whole.candidate / "model.safetensors").values()} == {torch.float16}


def test_the_service_answers_its_golden_cases_as_transformers_did(whole: Run) -> None:
    model = served(whole.candidate)
    cases = model.golden()
    assert len(cases) == 9
    for case in cases:
        assert case.check(model.predict([model.preprocess(case.item)])[0]) is None


def test_a_taught_version_claims_a_space_of_its_own(whole: Run) -> None:
    told = json.loads((whole.candidate / "space.json").read_text())
    assert told["base"] == served(BASE.path).space != served(whole.candidate).space
    assert 0 < told["shift"] < 0.2


def test_the_shift_is_a_score_of_what_was_taught_alone(whole: Run, shown: Material) -> None:
    assert "space_shift" in ClipTask().evaluate(whole.candidate, shown.validation).scores
    assert "space_shift" not in ClipTask().evaluate(BASE.path, shown.validation).scores


def test_a_stopped_run_goes_on_to_the_same_weights(whole: Run, shown: Material, tmp_path: Path) -> None:
    run = Run.begin(tmp_path / "run")
    with pytest.raises(Stopped, match="--resume"):
        ClipTask().train(BASE, shown, Disturbed(run.folder), SETTINGS)
    ClipTask().train(BASE, shown, run, SETTINGS)
    expected, found = weights(whole.candidate), weights(run.candidate)
    assert all(torch.allclose(value, found[name], atol=2e-3) for name, value in expected.items())


def test_an_adapter_is_merged_into_the_version_and_kept_beside_it(shown: Material, tmp_path: Path) -> None:
    run = taught(shown, tmp_path / "run", lora=4)
    assert (run.folder / "adapter/adapter_config.json").exists()
    assert weights(run.candidate).keys() == weights(BASE.path).keys()
    assert not any("layer_norm" in name for name in changed(run))


def test_frozen_parts_stay_as_they_are(shown: Material, tmp_path: Path) -> None:
    names = changed(taught(shown, tmp_path / "run", freeze=("vision_model", "visual_projection"), steps=1))
    assert names
    assert not any(name.startswith("vis") for name in names)


def test_a_part_that_there_is_not_is_refused(shown: Material, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="--freeze eyes"):
        taught(shown, tmp_path / "run", freeze=("eyes",))


def test_words_without_a_token_get_one(shown: Material, tmp_path: Path) -> None:
    train = [replace(pair, text=f"a zigzag like {pair.text}") for pair in only(PairExample, shown.train)]
    run = taught(replace(shown, train=train, replay=(), old=()), tmp_path / "run", steps=1)
    assert served(run.candidate).serving.state.tokenizer.size == 731 + 2
    assert all(
        case.check(served(run.candidate).predict([served(run.candidate).preprocess(case.item)])[0]) is None
        for case in served(run.candidate).golden()
    )


def test_an_estimate_tells_steps_time_and_memory(shown: Material) -> None:
    told = ClipTask().estimate(BASE, shown, SETTINGS)
    assert told["steps"] == 3
    assert told["seconds"] > 0
    assert told["memory_bytes"] > 10**7
