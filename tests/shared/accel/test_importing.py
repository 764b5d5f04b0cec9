"""Importing a Hugging Face directory: what fits is published as it was checked, the rest is refused and never run."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPModel

from shared.accel.importing import Family, import_pretrained
from shared.weights.errors import RefusedVersion, VersionExists
from shared.weights.store import Store, Version
from tests.shared.accel.checkpoints import (
    Tensors,
    change_json,
    change_tensors,
    embeddings,
    to_pickle,
    tokenizer,
    write_clip,
    write_processor,
)

CLIP = Family("clip", {"clip": CLIPModel})
WEIGHT, SCALE = "text_projection.weight", "logit_scale"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("original"))


@pytest.fixture
def source(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "tiny-clip")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/store")


def bring(store: Store, source: Path, *, family: Family = CLIP) -> Version:
    import_pretrained(store, source, families=[family], model="clip", version="v1")
    return store.fetch("clip@v1", Path("unused"))


def to_shards(source: Path) -> None:
    CLIPModel.from_pretrained(source).save_pretrained(source, max_shard_size="40KB")
    (source / "model.safetensors").unlink()
    assert len(list(source.glob("model-*.safetensors"))) > 2


def keep(source: Path) -> None:
    assert (source / "model.safetensors").exists()


@pytest.mark.parametrize("layout", [keep, to_pickle, to_shards])
def test_what_is_published_answers_as_the_original_bit_for_bit(
    store: Store, original: Path, source: Path, layout: Callable[[Path], None]
) -> None:
    layout(source)
    version = bring(store, source)
    assert {"config.json", "model.safetensors", "tokenizer.json"} < version.manifest.files.keys()
    assert not [name for name in version.manifest.files if name.endswith((".bin", ".index.json"))]
    for imported, before in zip(embeddings(version.path), embeddings(original), strict=True):
        assert torch.equal(imported, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_tensors_keep_their_number_type(store: Store, source: Path, dtype: torch.dtype) -> None:
    change_tensors(source, lambda t: t.update({n: v.to(dtype) for n, v in t.items() if n != SCALE}))
    version = bring(store, source)
    published, given = (load_file(folder / "model.safetensors") for folder in (version.path, source))
    assert published.keys() == given.keys()
    assert all(published[name].dtype == v.dtype and torch.equal(published[name], v) for name, v in given.items())
    assert ("F16" if dtype == torch.float16 else "BF16") in version.manifest.description


def test_the_card_tells_where_the_version_comes_from(store: Store, source: Path) -> None:
    identity = import_pretrained(store, source, families=[CLIP], model="clip", version=None)
    manifest = store.manifest("clip", identity.version)
    assert identity.version.startswith("clip-")
    assert manifest.base is not None
    assert manifest.base.startswith("tiny-clip/model.safetensors sha256:" + identity.version.removeprefix("clip-"))
    assert manifest.processor == "preprocessor_config.json"
    with pytest.raises(VersionExists):
        import_pretrained(store, source, families=[CLIP], model="clip", version=None)


def test_chat_templates_and_files_that_nobody_reads_stay_behind(store: Store, source: Path) -> None:
    change_json(source / "tokenizer_config.json", chat_template="{{ cycler.__init__.__globals__ }}")
    for name in ("chat_template.jinja", "README.md", "tf_model.h5", "golden.json", ".gitattributes"):
        (source / name).write_text("{}")
    version = bring(store, source)
    assert "chat_template" not in json.loads((version.path / "tokenizer_config.json").read_text())
    assert version.manifest.files.keys() == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_a_vocabulary_with_merges_will_do(store: Store, source: Path) -> None:
    vocabulary = json.loads((source / "tokenizer.json").read_text())["model"]["vocab"]
    (source / "vocab.json").write_text(json.dumps(vocabulary))
    (source / "merges.txt").write_text("#version: 0.2\n")
    (source / "tokenizer.json").unlink()
    assert {"vocab.json", "merges.txt"} < bring(store, source).manifest.files.keys()


def test_counters_of_older_checkpoints_are_left_out(store: Store, source: Path) -> None:
    name = "text_model.embeddings.position_ids"
    change_tensors(source, lambda tensors: tensors.update({name: torch.arange(16)[None]}))
    assert name not in load_file(bring(store, source).path / "model.safetensors")


def test_an_older_config_that_names_a_wrong_end_is_taken_with_the_highest_id(store: Store, source: Path) -> None:
    text = json.loads((source / "config.json").read_text())["text_config"]
    change_json(source / "config.json", text_config=text | {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2})
    assert bring(store, source).version == "v1"


def test_links_inside_the_directory_are_followed(store: Store, source: Path) -> None:
    (source / "model.safetensors").rename(source / "weights.safetensors")
    (source / "model.safetensors").symlink_to("weights.safetensors")
    assert bring(store, source).version == "v1"


def _set(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    return lambda source: change_tensors(source, lambda t: t.update({name: change(t[name])}))


def _drop(tensors: Tensors) -> None:
    for name in [name for name in tensors if name.startswith("vision_model.encoder.layers.1.")]:
        del tensors[name]


def _config(**fields: Any) -> Callable[[Path], None]:
    return lambda source: change_json(source / "config.json", **fields)


def _text(name: str, content: str) -> Callable[[Path], Any]:
    return lambda source: (source / name).write_text(content)


def _without(name: str) -> Callable[[Path], None]:
    return lambda source: (source / name).unlink()


def _replace(name: str, value: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda tensor: torch.full_like(tensor, value)


MISFITS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing tensors": (
        lambda source: change_tensors(source, _drop),
        r"16 tensors of the architecture are missing, the first being vision_model\.encoder\.layers\.1\.",
    ),
    "an extra tensor": (
        lambda source: change_tensors(source, lambda t: t.update(extra=torch.ones(1))),
        "1 tensors are not the architecture's, the first being extra",
    ),
    "another shape": (
        _set(WEIGHT, lambda t: t[:, :5].contiguous()),
        rf"^{WEIGHT} .*\[24, 5\], where config.json tells of \[24, 32",
    ),
    "another size": (_config(projection_dim=25), "where config.json tells of"),
    "integers": (_set(WEIGHT, torch.Tensor.int), f"^{WEIGHT} is a tensor of torch.int32"),
    "float64": (_set(WEIGHT, torch.Tensor.double), f"{WEIGHT}' is float64; served are float32, float16 and bfloat16"),
    "not a number": (_set(WEIGHT, _replace(WEIGHT, float("nan"))), f"^{WEIGHT} holds values that are not finite"),
    "infinite": (_set(SCALE, _replace(SCALE, float("inf"))), f"^{SCALE} holds values that are not finite"),
    "cut off": (
        lambda source: os.truncate(source / "model.safetensors", 9000),
        r"^model\.safetensors: ",
    ),
    "no weights": (_without("model.safetensors"), r"holds no weights: they are looked for in model\.safetensors, "),
    "another type": (_config(model_type="siglip"), "model_type 'siglip' cannot be imported; what can is clip"),
    "no type": (_config(model_type=None), "model_type 'None' cannot be imported"),
    "no config": (_without("config.json"), "is no Hugging Face directory: it has no config.json"),
    "a config that is no JSON": (_text("config.json", "{"), "config.json is not JSON"),
    "a config that is a list": (_text("config.json", "[]"), "config.json is not a JSON object"),
    "a size below zero": (_config(vision_config={"hidden_size": -4}), "CLIPModel"),
    "no processor": (_without("preprocessor_config.json"), r"processor_config\.json is missing"),
    "a processor of another size": (
        lambda source: write_processor(source, 48),
        "makes 48 x 48 pixels; config.json tells of 32 x 32",
    ),
    "another filter": (
        lambda source: change_json(source / "preprocessor_config.json", resample=1),
        "another filter than bilinear and bicubic",
    ),
    "a processor of another family": (
        lambda source: change_json(source / "preprocessor_config.json", image_processor_type="ViTImageProcessor"),
        "'ViTImageProcessor' is not one of",
    ),
    "a deviation of zero": (
        lambda source: change_json(source / "preprocessor_config.json", image_std=[0, 1, 1]),
        "mean and std",
    ),
    "a tokenizer that is too large": (
        lambda source: tokenizer(600).save_pretrained(source),
        "The tokenizer has 600 ids; config.json tells of 514",
    ),
    "a tokenizer that is too small": (
        lambda source: tokenizer(500).save_pretrained(source),
        "between 498 and 499; config.json tells of 512 and 513. It is that of another checkpoint",
    ),
    "a damaged tokenizer": (_text("tokenizer.json", "{}"), "tokenizer of the version cannot be read"),
    "no tokenizer": (_without("tokenizer.json"), r"vocab\.json is missing"),
}


@pytest.mark.parametrize(("spoil", "sentence"), MISFITS.values(), ids=MISFITS.keys())
def test_what_does_not_fit_is_refused_with_its_name(
    store: Store, source: Path, spoil: Callable[[Path], Any], sentence: str
) -> None:
    spoil(source)
    with pytest.raises(RefusedVersion, match=sentence):
        bring(store, source)
    assert store.models() == []


def test_a_tower_that_reads_the_highest_id_needs_it_at_the_end(store: Store, source: Path) -> None:
    text = json.loads((source / "config.json").read_text())["text_config"]
    change_json(source / "config.json", text_config=text | {"vocab_size": 515})
    change_tensors(source, lambda t: t.update({n: v.new_zeros(515, 32) for n, v in t.items() if v.shape[:1] == (514,)}))
    larger = tokenizer()
    larger.add_tokens(["ocelli"])
    larger.save_pretrained(source)
    with pytest.raises(RefusedVersion, match="ids above its end of a text"):
        bring(store, source, family=Family("owl", CLIP.architectures, reads_highest=True))
    assert bring(store, source).version == "v1"


INDICES: dict[str, tuple[Any, str]] = {
    "absent": ({"weight_map": {WEIGHT: "model-9.safetensors"}}, "'model-9.safetensors' is not a safetensors file of"),
    "outside": ({"weight_map": {WEIGHT: "../tiny.safetensors"}}, r"'\.\./tiny\.safetensors' is not a safetensors file"),
    "a pickle": ({"weight_map": {WEIGHT: "pytorch_model.bin"}}, "'pytorch_model.bin' is not a safetensors file"),
    "empty": ({"weight_map": {}}, "weight_map names no file"),
    "no map": ([], "index.json is not a JSON object"),
}


@pytest.mark.parametrize(("index", "sentence"), INDICES.values(), ids=INDICES.keys())
def test_an_index_names_safetensors_files_of_the_directory(
    store: Store, source: Path, index: Any, sentence: str
) -> None:
    shutil.copy(source / "model.safetensors", source.parent / "tiny.safetensors")
    to_pickle(source)
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(RefusedVersion, match=sentence):
        bring(store, source)


def test_a_tensor_lies_in_one_shard(store: Store, source: Path) -> None:
    for number in (1, 2):
        shutil.copy(source / "model.safetensors", source / f"model-{number}.safetensors")
    (source / "model.safetensors").unlink()
    index = {"weight_map": {WEIGHT: "model-1.safetensors", SCALE: "model-2.safetensors"}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(RefusedVersion, match=r"model-2\.safetensors: .* is in another shard, too"):
        bring(store, source)
