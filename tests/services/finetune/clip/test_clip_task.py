"""A few real steps of CLIP: what is learnt, written, kept, and gone on with after a stop."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from services.finetune.clip.demo import write_set
from services.finetune.clip.task import ClipTask
from services.finetune.clip.vectors import served
from services.finetune.data.examples import PairExample, only
from services.finetune.errors import JobError
from services.finetune.run import Run
from shared.accel.checkpoint import read_state
from tests.services.finetune.short_runs import Short, apart, tells_steps_time_and_memory, weights
from tests.services.finetune.towers.pictures_of import base, material

BASE = base("clip")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Short:
    shown = material(tmp_path_factory.mktemp("pictures"), write_set, task="clip", things=(1, 1))
    return Short.of(ClipTask(), BASE, shown, steps=3, batch=8)


@pytest.fixture(scope="module")
def whole(short: Short, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nothing disturbed."""
    return short.taught(tmp_path_factory.mktemp("whole") / "run")


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


def test_the_shift_is_a_score_of_what_was_taught_alone(whole: Run, short: Short) -> None:
    assert "space_shift" in ClipTask().evaluate(whole.candidate, short.material.validation).scores
    assert "space_shift" not in ClipTask().evaluate(BASE.path, short.material.validation).scores


def test_a_stopped_run_goes_on_to_the_same_weights(whole: Run, short: Short, tmp_path: Path) -> None:
    assert apart(whole, short.gone_on(tmp_path / "run")) <= 2e-3


def test_an_adapter_is_merged_into_the_version_and_kept_beside_it(short: Short, tmp_path: Path) -> None:
    run = short.taught(tmp_path / "run", lora=4)
    assert (run.folder / "adapter/adapter_config.json").exists()
    assert weights(run.candidate).keys() == weights(BASE.path).keys()
    assert not any("layer_norm" in name for name in short.changed(run))


def test_frozen_parts_stay_as_they_are(short: Short, tmp_path: Path) -> None:
    names = short.changed(short.taught(tmp_path / "run", freeze=("vision_model", "visual_projection"), steps=1))
    assert names
    assert not any(name.startswith("vis") for name in names)


def test_a_part_that_there_is_not_is_refused(short: Short, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="--freeze eyes"):
        short.taught(tmp_path / "run", freeze=("eyes",))


def test_words_without_a_token_get_one(short: Short, tmp_path: Path) -> None:
    train = [replace(pair, text=f"a zigzag like {pair.text}") for pair in only(PairExample, short.material.train)]
    alone = replace(short.material, train=train, replay=(), old=())
    model = served(short.taught(tmp_path / "run", material=alone, steps=1).candidate)
    assert model.serving.state.tokenizer.size == 731 + 2
    assert all(case.check(model.predict([model.preprocess(case.item)])[0]) is None for case in model.golden())


def test_an_estimate_tells_steps_time_and_memory(short: Short) -> None:
    tells_steps_time_and_memory(short)
