"""Importing a torchvision state dict: what fits is published as safetensors, the rest is refused and never run."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from services.detection.architectures import COCO_LABELS, DetectorConfig, build
from services.detection.importer import configuration, fit, import_checkpoint
from shared.weights.errors import RefusedVersion, StoreError
from shared.weights.store import Store

CONFIG = DetectorConfig(architecture="tiny-faster-rcnn", labels=("square", "circle"))
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def network_state() -> State:
    torch.set_num_threads(1)
    torch.manual_seed(5)
    return dict(build(CONFIG).state_dict())


@pytest.fixture
def state(network_state: State) -> State:
    return dict(network_state)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/store")


def bring(store: Store, source: Path) -> str:
    return import_checkpoint(store, source, config=CONFIG, model="faster-rcnn", version="v1").digest


@pytest.mark.parametrize("name", ["x.pth", "x.pt", "x.safetensors"])
def test_what_is_published_loads_into_the_architecture_bit_for_bit(
    store: Store, state: State, tmp_path: Path, name: str
) -> None:
    write: Callable[[State, Path], None] = save_file if name.endswith("safetensors") else torch.save
    write(state, tmp_path / name)
    bring(store, tmp_path / name)
    version = store.fetch("faster-rcnn@v1", tmp_path / "cache")
    assert sorted(version.manifest.files) == ["config.json", "model.safetensors"]
    config = DetectorConfig.model_validate_json((version.path / "config.json").read_bytes())
    network = build(config)
    network.load_state_dict(load_file(version.path / "model.safetensors"))
    assert config == CONFIG
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_the_checkpoint_inside_a_training_run_of_torchvision_is_found(
    store: Store, state: State, tmp_path: Path
) -> None:
    torch.save({"model": state, "optimizer": {"lr": 0.1}, "epoch": 3}, tmp_path / "model_3.pth")
    assert bring(store, tmp_path).startswith("sha256:")


def test_tensor_names_of_earlier_torchvision_releases_are_translated(state: State) -> None:
    old = {
        name.replace("rpn.head.conv.0.0.", "rpn.head.conv."): tensor
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }
    assert old.keys() != state.keys()
    fitted = fit(old, CONFIG)
    assert fitted.keys() == state.keys()
    assert torch.equal(fitted["rpn.head.conv.0.0.weight"], state["rpn.head.conv.0.0.weight"])


def test_half_precision_is_kept(store: Store, state: State, tmp_path: Path) -> None:
    save_file({n: t.half() if t.is_floating_point() else t for n, t in state.items()}, tmp_path / "x.safetensors")
    bring(store, tmp_path / "x.safetensors")
    path = store.fetch("faster-rcnn@v1", tmp_path / "cache").path
    assert load_file(path / "model.safetensors")["rpn.head.cls_logits.weight"].dtype == torch.float16


def test_without_an_id_the_same_bytes_get_the_same_one(store: Store, state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "x.pth")
    identity = import_checkpoint(store, tmp_path, config=CONFIG, model="faster-rcnn", version=None)
    assert identity.version.startswith("tiny-faster-rcnn-")
    with pytest.raises(StoreError, match="exists"):
        import_checkpoint(store, tmp_path, config=CONFIG, model="faster-rcnn", version=None)


def _without(prefix: str) -> Callable[[State], State]:
    return lambda state: {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}


def _with(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[State], State]:
    return lambda state: state | {name: change(state[name])}


WEIGHT, COUNT = "rpn.head.cls_logits.weight", "backbone.body.bn1.num_batches_tracked"
MISFITS: dict[str, tuple[Callable[[State], State], str]] = {
    "missing": (_without("roi_heads."), r"8 tensors are missing for tiny-faster-rcnn: roi_heads\..* and 3 more"),
    "unknown": (lambda state: state | {"extra.weight": torch.ones(1)}, "1 tensors are unknown to .*: extra.weight"),
    "both": (
        lambda state: {name.replace("rpn.head.bbox_pred", "rpn.head.box"): t for name, t in state.items()},
        r"2 tensors are missing .*bbox_pred.* 2 tensors are unknown .*rpn\.head\.box",
    ),
    "shape": (_with(WEIGHT, lambda t: t[:1, :1]), rf"{WEIGHT} \[1, 1, 1, 1\] instead of \["),
    "float64": (_with(WEIGHT, Tensor.double), rf"{WEIGHT} torch.float64"),
    "integer weights": (_with(WEIGHT, Tensor.int), "shapes and number types"),
    "complex": (_with(WEIGHT, lambda t: t.to(torch.complex64)), rf"{WEIGHT} torch.complex64"),
    "a count that is a fraction": (_with(COUNT, Tensor.float), rf"{COUNT} torch.float32"),
    "not a number": (_with(WEIGHT, lambda t: t.clone().fill_(float("nan"))), f"1 tensors are not finite: {WEIGHT}"),
    "infinite": (_with(WEIGHT, lambda t: t.clone().fill_(float("inf"))), f"1 tensors are not finite: {WEIGHT}"),
    "empty": (lambda state: {}, r"tensors are missing .* more"),
}


@pytest.mark.parametrize(("change", "sentence"), MISFITS.values(), ids=MISFITS.keys())
def test_tensors_that_do_not_fit_are_named(state: State, change: Callable[[State], State], sentence: str) -> None:
    with pytest.raises(RefusedVersion, match=sentence):
        fit(change(state), CONFIG)


class Payload:
    """A pickle that writes a file when it is loaded by an unpickler that runs code."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.canary, "loaded"))


def _zip_of(payload: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def _saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


CODE: dict[str, Callable[[Payload], bytes]] = {
    "a bare pickle": pickle.dumps,
    "beside the tensors": lambda payload: _saved({"weight": torch.ones(1), "hook": payload}),
    "as the model": lambda payload: _saved({"model": payload}),
    "in a hand-made archive": lambda payload: _zip_of(pickle.dumps(payload)),
    "in the old format": lambda payload: b"".join(
        pickle.dumps(part) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, payload)
    ),
}


@pytest.mark.parametrize("write", CODE.values(), ids=CODE.keys())
def test_a_pickle_that_carries_code_is_refused_and_the_code_never_runs(
    store: Store, tmp_path: Path, write: Callable[[Payload], bytes]
) -> None:
    canary = tmp_path / "canary"
    data = write(Payload(canary))
    (tmp_path / "x.pth").write_bytes(data)
    with pytest.raises(
        RefusedVersion, match=r"x\.pth holds something else than tensors, and loading it could run code"
    ):
        bring(store, tmp_path / "x.pth")
    assert not canary.exists()
    assert store.models() == []


def test_the_payload_would_have_run_in_an_ordinary_unpickler(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


def _cut(state: State) -> bytes:
    return _saved(state)[:5000]


DAMAGED: dict[str, Callable[[State], bytes]] = {
    "empty": lambda _: b"",
    "cut off": _cut,
    "text": lambda _: b"<html>not found</html>",
    "zeros": lambda _: bytes(100),
    "an archive of something else": lambda _: _zip_of(b""),
    "a list": lambda state: _saved(list(state.values())),
    "a tensor": lambda _: _saved(torch.ones(2)),
    "a number beside tensors": lambda state: _saved({**state, "epoch": 3}),
    "a number as a name": lambda _: _saved({1: torch.ones(1)}),
    "a sparse tensor": lambda _: _saved({"x": torch.eye(2).to_sparse()}),
}


@pytest.mark.parametrize("write", DAMAGED.values(), ids=DAMAGED.keys())
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_no_state_dict_is_refused_with_our_own_sentence(
    store: Store, state: State, tmp_path: Path, write: Callable[[State], bytes], suffix: str
) -> None:
    (tmp_path / f"x{suffix}").write_bytes(write(state))
    with pytest.raises(RefusedVersion, match=rf"^x\{suffix}"):
        bring(store, tmp_path / f"x{suffix}")


@pytest.mark.parametrize("name", ["x.bin", "x.pkl", "x.ckpt", "x"])
def test_only_the_three_kinds_are_read(store: Store, state: State, tmp_path: Path, name: str) -> None:
    torch.save(state, tmp_path / name)
    with pytest.raises(RefusedVersion, match="is not a checkpoint that can be imported"):
        bring(store, tmp_path / name)


def test_a_folder_must_hold_one_checkpoint(store: Store, tmp_path: Path) -> None:
    for count in (0, 2):
        folder = tmp_path / f"with-{count}"
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.pth").touch()
        with pytest.raises(StoreError, match=f"holds {count} checkpoints"):
            bring(store, folder)


def test_labels_come_from_coco_or_from_a_file(tmp_path: Path) -> None:
    assert configuration("ssd300_vgg16", "coco").labels == COCO_LABELS
    (tmp_path / "labels.txt").write_text("Viereck\nKreis\n", encoding="utf-8")
    assert configuration("tiny-ssd", str(tmp_path / "labels.txt")).labels == ("Viereck", "Kreis")


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [(b"", "labels"), (b"a\na\n", "labels must differ"), (b"\xff\xfe\xff", "not a text file in UTF-8")],
)
def test_a_file_that_gives_no_labels_is_refused(tmp_path: Path, labels: bytes, sentence: str) -> None:
    (tmp_path / "labels.txt").write_bytes(labels)
    with pytest.raises(StoreError, match=sentence):
        configuration("tiny-ssd", str(tmp_path / "labels.txt"))
