"""What may lie in a directory that is imported: nothing that could run, and nothing that lies elsewhere."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CLIPModel

from shared.accel.importing import Family, import_pretrained
from shared.weights.errors import RefusedVersion
from shared.weights.store import Store
from tests.shared.accel.checkpoints import change_json, to_pickle, write_clip


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("original"))


@pytest.fixture
def source(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "tiny-clip")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/store")


def bring(store: Store, source: Path) -> str:
    family = Family("clip", {"clip": CLIPModel})
    return import_pretrained(store, source, families=[family], model="clip", version="v1").version


class Payload:
    """A pickle that writes a file when it is loaded by an unpickler that runs code."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.canary, "ran"))


def _script(name: str) -> Callable[[Path, Path], None]:
    def write(source: Path, canary: Path) -> None:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(f"open({str(canary)!r}, 'w').write('ran')\n")

    return write


def _pickle(name: str) -> Callable[[Path, Path], None]:
    def write(source: Path, canary: Path) -> None:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(pickle.dumps(Payload(canary)))

    return write


def _weights(source: Path, canary: Path) -> None:
    to_pickle(source)
    torch.save({"x": Payload(canary)}, source / "pytorch_model.bin")


def _module(file: str, key: str = "auto_map") -> Callable[[Path, Path], None]:
    """An `auto_map`, deep inside, to a script in a folder that is not looked at."""

    def write(source: Path, canary: Path) -> None:
        _script(".hidden/modeling_evil.py")(source, canary)
        change_json(source / file, deep=[{"deeper": {key: {"AutoModel": "modeling_evil.Evil"}}}])

    return write


CODE: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "a script": (_script("modeling_clip.py"), r"^modeling_clip\.py is code"),
    "a script in a folder": (_script("custom/tokenization.py"), r"^custom/tokenization\.py is code"),
    "in capitals": (_script("SETUP.PY"), r"^SETUP\.PY is code"),
    "weights with code": (_weights, r"^pytorch_model\.bin holds something else than tensors"),
    "a trainer's arguments": (_pickle("training_args.bin"), r"^training_args\.bin may be a pickle"),
    "an optimiser": (_pickle("optimizer.pt"), r"^optimizer\.pt may be a pickle"),
    "a bare pickle": (_pickle("tokenizer.pkl"), r"^tokenizer\.pkl may be a pickle"),
    "weights in a folder": (_pickle("old/pytorch_model.bin"), r"^old/pytorch_model\.bin may be a pickle"),
    "a model class": (_module("config.json"), r"^config\.json names code of its own \(auto_map\)"),
    "a tokenizer class": (_module("tokenizer_config.json"), r"^tokenizer_config\.json names code of its own"),
    "a processor class": (_module("preprocessor_config.json"), r"^preprocessor_config\.json names code of its own"),
    "trust": (_module("config.json", "trust_remote_code"), r"^config\.json names .* \(trust_remote_code\)"),
}


@pytest.mark.parametrize(("plant", "sentence"), CODE.values(), ids=CODE.keys())
def test_code_is_refused_with_its_file_and_never_runs(
    store: Store, source: Path, tmp_path: Path, plant: Callable[[Path, Path], None], sentence: str
) -> None:
    canary = tmp_path / "canary"
    plant(source, canary)
    with pytest.raises(RefusedVersion, match=sentence):
        bring(store, source)
    assert not canary.exists()
    assert store.models() == []


def test_the_payload_would_have_run_in_an_ordinary_unpickler(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


def test_a_pickle_beside_safetensors_is_not_even_opened(store: Store, source: Path, tmp_path: Path) -> None:
    _pickle("pytorch_model.bin")(source, tmp_path / "canary")
    assert bring(store, source) == "v1"
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "notes.txt"])
def test_links_that_lead_out_are_refused(store: Store, source: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "blob"
    (source / name).rename(outside) if (source / name).exists() else outside.touch()
    (source / name).symlink_to(outside)
    with pytest.raises(RefusedVersion, match=f"^{name} is a link that leads out of the directory"):
        bring(store, source)


@pytest.mark.parametrize("target", ["nowhere", "loop", "../"])
def test_links_to_nothing_in_a_circle_or_to_a_folder_above_are_refused(store: Store, source: Path, target: str) -> None:
    (source / "loop").symlink_to(target)
    with pytest.raises(RefusedVersion, match=r"^loop is a link"):
        bring(store, source)


def test_a_pipe_is_refused_and_never_waited_for(store: Store, source: Path) -> None:
    os.mkfifo(source / "merges.txt")
    with pytest.raises(RefusedVersion, match=r"^merges\.txt is neither a file nor a folder"):
        bring(store, source)
