"""The recipe of the demo LLaVA from end to end in a few steps."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from services.finetune.demo import llava, llava_golden, llava_network, llava_training
from services.finetune.demo.llava_chat import Chat, asked, replies
from services.finetune.demo.llava_stages import STAGES
from services.finetune.demo.llava_training import Schedule
from shared.accel.checkpoint import read_state
from shared.weights.errors import VersionExists
from shared.weights.store import Store

SHORT = llava.Recipe(schedule=Schedule(tower=2, share=1e-6, pictures=16), questions=2)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, work: Path) -> Store:
    """A store in which the recipe ran, for one step of every stage."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llava_network, "NEW_TOKENS", 3)  # weights that know nothing do not know where to end
        patch.setattr(llava_golden, "CANDIDATES", 1)
        llava.make(SHORT, store, work)
    return store


def test_a_few_steps_go_from_scenes_to_a_champion_in_hugging_face_layout(store: Store, tmp_path: Path) -> None:
    version = store.fetch("llava", tmp_path)
    state = read_state(version.path / "model.safetensors")

    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float16}
    assert {path.name for path in version.path.iterdir()} >= {
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "serving.json",
        "chat_template.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "golden.json",
    }
    assert version.manifest.made.parameters["share"] == 1e-6
    assert {"count", "caption", "mean", "second_turn", "other_wordings"} <= set(version.manifest.metrics)
    assert version.manifest.size < 10_000_000


def test_what_the_files_hold_answers_chats_with_and_without_pictures(store: Store, tmp_path: Path) -> None:
    model, processor = llava.load(store.fetch("llava", tmp_path).path)
    (reply,) = replies(model, processor, [Chat([asked("Hello")])])

    assert len(reply.tokens) <= model.generation_config.max_new_tokens
    assert model.config.image_token_id == processor.image_token_id
    assert "USER: Hello ASSISTANT:" in processor.apply_chat_template([asked("Hello")], add_generation_prompt=True)


def test_a_training_that_is_over_is_read_from_the_working_folder(
    store: Store, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llava_training, "train", lambda *_, **__: pytest.fail("trained again"))
    _, seconds = llava_training.trained(work, SHORT.schedule, seed=SHORT.seed)
    assert seconds > 0


def test_a_version_that_exists_is_refused_before_any_work(store: Store, tmp_path: Path) -> None:
    endless = replace(SHORT, schedule=Schedule(tower=10**9))
    with pytest.raises(VersionExists, match="name another --version"):
        llava.make(endless, store, tmp_path)


def test_the_tower_learns_in_the_last_stages_and_more_slowly_than_the_language() -> None:
    assert [stage.joint for stage in STAGES] == sorted(stage.joint for stage in STAGES)
    assert STAGES[-1].joint
    assert all(stage.rates.muon["tower"] < stage.rates.muon[""] for stage in STAGES if stage.joint)
    assert all(stage.steps == stage.horizon for stage in STAGES if stage.joint)
