"""An adapter is a version of its own: peft opens it, and merged into the very base it gives the job's version again."""

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from peft import PeftModel

from services.clip import weights
from services.finetune import adapters
from services.finetune.clip.demo import write_set as write_pairs
from services.finetune.clip.task import ClipTask
from services.finetune.detection.task import DetectionTask
from services.finetune.llava.task import LlavaTask
from services.finetune.owlvit.demo import write_set as write_boxes
from services.finetune.owlvit.task import OwlvitTask
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Material, Task
from services.finetune.towers.vocabulary import widen
from shared.serving.model import Identity
from shared.weights.errors import BadName, RefusedVersion
from shared.weights.manifest import Card, Made
from shared.weights.seed import shipped
from shared.weights.store import Store, Version
from tests.services.finetune.detection.pictures_on_disk import material as detection_material
from tests.services.finetune.llava import conversations
from tests.services.finetune.towers.pictures_of import material as tower_material

torch.set_num_threads(1)

SETTINGS = JobSettings(
    steps=2, batch=4, evaluations=1, threads=1, device="cpu", precision="float32", lora=2, version="taught"
)


class Taught(NamedTuple):
    """A store with a base, what a job made of it by an adapter, and that adapter."""

    store: Store
    base: Version
    merged: Identity
    adapter: Identity

    @property
    def folder(self) -> Path:
        return Path(self.store.url) / "models" / self.base.model / self.adapter.version


def clip(folder: Path) -> Material:
    return tower_material(folder, write_pairs, task="clip", things=(1, 1))


def owlvit(folder: Path) -> Material:
    return tower_material(folder, write_boxes, task="owlvit", things=(1, 3))


def llava(folder: Path) -> Material:
    new = conversations.chats(folder, pictures=6, each=2, new=True)
    known = conversations.chats(folder, pictures=4, each=1, new=False, seed=2)
    return Material(new, known, known, known)


TASKS: dict[str, tuple[Task, Callable[[Path], Material]]] = {
    "clip": (ClipTask(), clip),
    "owlvit": (OwlvitTask(), owlvit),
    "llava": (LlavaTask(), llava),
    "ssd": (DetectionTask(), detection_material),
}


def taught(model: str, folder: Path) -> Taught:
    task, material = TASKS[model]
    release, store = Store(str(shipped())), Store(str(folder / "store"))
    base = release.fetch(model, folder)
    store.adopt(base)
    candidate = task.train(base, material(folder), Run.begin(folder / "run"), SETTINGS)
    card = Card(model=model, version="taught", made=Made(by="a test"), metrics={"new/score": 0.5})
    merged = store.publish(candidate, card)
    version = store.fetch(f"{model}@taught", folder)
    adapter = adapters.publish(store, task.name, base=base, adapter=folder / "run/adapter", merged=version)
    return Taught(store, base, merged, adapter)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taught]:
    """A CLIP that was taught."""
    yield taught("clip", tmp_path_factory.mktemp("clip"))


def elsewhere(found: Taught, folder: Path, *models: str) -> Store:
    """Another store, which got these versions alone."""
    store = Store(str(folder / "elsewhere"))
    for version in models:
        store.adopt(found.store.fetch(f"{found.base.model}@{version}", folder))
    return store


def merged(store: Store, found: Taught, folder: Path, **more: Any) -> Identity:
    return adapters.merge(store, found.base.model, found.adapter.version, cache=folder, **more)


@pytest.mark.parametrize("model", TASKS)
def test_base_and_adapter_give_the_version_of_the_job_again_to_the_last_bit(model: str, tmp_path: Path) -> None:
    found = taught(model, tmp_path)
    store = elsewhere(found, tmp_path, found.base.version, found.adapter.version)
    assert merged(store, found, tmp_path) == found.merged
    assert store.fetch(f"{model}@taught", tmp_path).digest == found.merged.digest


def test_an_adapter_names_its_base_and_holds_peft_s_two_files_and_no_weights_besides(known: Taught) -> None:
    manifest = known.store.manifest("clip", "taught-adapter")
    assert manifest.merge is not None
    assert (manifest.merge.base.version, manifest.merge.base.digest) == (known.base.version, known.base.digest)
    assert (manifest.merge.result.digest, manifest.metrics) == (known.merged.digest, {"new/score": 0.5})
    assert {path for path in manifest.files if "/" not in path} == set(adapters.FILES)
    assert [path for path in manifest.files if path.endswith(".safetensors")] == ["adapter_model.safetensors"]
    assert str(known.folder) not in (known.folder / "adapter_config.json").read_text()


def test_peft_opens_it_around_the_base(known: Taught) -> None:
    network: Any = weights.read(known.base.path, torch.float32).module
    rows = json.loads((known.folder / "merged/config.json").read_text())["text_config"]["vocab_size"]
    widen(network.text_model, rows - network.text_model.config.vocab_size)
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        opened = PeftModel.from_pretrained(network, str(known.folder))
    assert opened.peft_config["default"].to_dict()["r"] == 2


def test_another_base_of_the_same_name_is_refused(known: Taught, tmp_path: Path) -> None:
    store = elsewhere(known, tmp_path, known.adapter.version)
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    store.publish(other, Card(model="clip", version=known.base.version, made=Made(by="a test")))
    with pytest.raises(
        RefusedVersion, match=rf"taught on clip@{known.base.version} {known.base.digest}.*another model"
    ):
        merged(store, known, tmp_path)


def test_what_there_is_already_is_no_work_and_another_name_is_another_version(known: Taught, tmp_path: Path) -> None:
    assert merged(known.store, known, tmp_path) == known.merged
    again = merged(known.store, known, tmp_path, name="again")
    one, other = (known.store.manifest("clip", version) for version in ("taught", "again"))
    assert again.digest != known.merged.digest
    assert one.files == other.files


def test_what_is_no_adapter_is_not_merged(known: Taught, tmp_path: Path) -> None:
    with pytest.raises(RefusedVersion, match="is no adapter"):
        adapters.merge(known.store, "clip", "taught", cache=tmp_path)


def test_an_id_that_leaves_no_room_for_its_adapter_is_told() -> None:
    with pytest.raises(BadName):
        adapters.adapter_id("x" * 60)
    assert adapters.adapter_id("x" * 56).endswith("-adapter")
