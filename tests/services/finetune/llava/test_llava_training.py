"""A few real steps of a real training: what is learnt, kept, gone on with, and written."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from services.finetune.data.examples import ChatExample
from services.finetune.draft import with_manifest
from services.finetune.errors import JobError
from services.finetune.llava import network
from services.finetune.llava.scoring import score
from services.finetune.llava.script import Scribe
from services.finetune.llava.task import LlavaTask
from services.finetune.run import Run
from services.finetune.task import Material
from services.llava.model import Llava
from shared.accel.checkpoint import read_state
from shared.weights.store import Version
from tests.services.finetune.llava import conversations
from tests.services.finetune.short_runs import Short, apart, tells_steps_time_and_memory, weights


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return conversations.base(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("pictures")
    new = conversations.chats(folder, pictures=8, each=4, new=True)
    replay = conversations.chats(folder, pictures=8, each=4, new=False)
    judged = conversations.chats(folder, pictures=6, each=1, new=False, seed=2)
    return Material(new, judged, replay, judged)


@pytest.fixture(scope="module")
def short(base: Version, material: Material) -> Short:
    return Short.of(LlavaTask(), base, material, steps=4, batch=4)


@pytest.fixture(scope="module")
def whole(short: Short, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nothing disturbed."""
    return short.taught(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def adapted(short: Short, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same with an adapter."""
    return short.taught(tmp_path_factory.mktemp("adapted") / "run", lora=4)


def loss(material: Material, version: Path) -> float:
    """Of all that is learnt."""
    with with_manifest(version, "llava") as folder:
        state = network.read(folder)
    scribe = Scribe(state.words, state.picture_tokens, state.context)
    learnt = [example for example in (*material.train, *material.replay) if isinstance(example, ChatExample)]
    return score(state.module, [scribe.write(example) for example in learnt], state.pixels).loss


def test_the_loss_on_what_is_learnt_falls(whole: Run, base: Version, material: Material) -> None:
    assert loss(material, whole.candidate) < 0.8 * loss(material, base.path)


def test_the_version_has_the_files_of_its_base_and_its_number_type(whole: Run, base: Version) -> None:
    found = {path.name for path in whole.candidate.iterdir()}
    assert found == {path.name for path in base.path.iterdir()} - {"manifest.json"}
    kept = read_state(whole.candidate / "model.safetensors")
    assert {value.dtype for value in kept.values()} == {torch.float16}


def test_the_service_answers_its_golden_cases_as_the_job_did(whole: Run, tmp_path: Path) -> None:
    with with_manifest(whole.candidate, "llava") as folder:
        model = Llava(torch.device("cpu"))
        model.use(model.read(folder))
    cases = model.golden()
    assert cases
    for case in cases:
        assert case.check(model.predict([model.preprocess(case.item)])[0]) is None


def test_metrics_tell_loss_and_whole_answers(whole: Run) -> None:
    told = conversations.lines(whole.folder / "metrics.jsonl")
    assert [line["step"] for line in told if "exact_match" in line] == [4]
    assert all(line["loss"] for line in told if "grad_norm" in line)


def test_a_stopped_run_goes_on_to_the_same_weights(whole: Run, short: Short, tmp_path: Path) -> None:
    assert apart(short.gone_on(tmp_path / "run"), whole) == 0


def test_a_stopped_adapter_goes_on_to_the_same_weights(adapted: Run, short: Short, tmp_path: Path) -> None:
    assert apart(short.gone_on(tmp_path / "run", lora=4), adapted) == 0


def test_frozen_parts_stay_as_they_are(short: Short, tmp_path: Path) -> None:
    run = short.taught(tmp_path / "run", freeze=("vision_tower", "multi_modal_projector"), steps=1)
    changed = short.changed(run)
    assert changed
    assert all(name.startswith("model.language_model") for name in changed)


def test_a_part_that_there_is_not_is_refused(short: Short, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"--freeze .*eyes.*model\.vision_tower"):
        short.taught(tmp_path / "run", freeze=("eyes",))


def test_an_adapter_is_kept_and_merged(adapted: Run, short: Short) -> None:
    assert (adapted.folder / "adapter/adapter_model.safetensors").exists()
    before, after, changed = weights(short.base.path), weights(adapted.candidate), short.changed(adapted)
    assert before.keys() - {"lm_head.weight"} == after.keys()
    rows = "model.language_model.embed_tokens.weight"
    assert any("self_attn" in name for name in changed)
    assert 0 < int((after[rows] != before[rows]).any(1).sum()) < 30  # those of new words alone
    assert not any("norm" in name for name in changed)


def test_an_adapter_leaves_frozen_parts_alone(short: Short, tmp_path: Path) -> None:
    run = short.taught(tmp_path / "run", lora=2, steps=1, freeze=("vision_tower",))
    assert not any("vision_tower" in name for name in short.changed(run))


def test_it_learns_without_replay_and_with_less_memory(short: Short, tmp_path: Path) -> None:
    alone = replace(short.material, replay=(), old=())
    run = short.taught(tmp_path / "run", material=alone, steps=1, checkpointing=True, accumulate=2)
    assert (run.candidate / "golden.json").exists()


def test_an_estimate_tells_steps_time_and_memory(short: Short) -> None:
    tells_steps_time_and_memory(short)
