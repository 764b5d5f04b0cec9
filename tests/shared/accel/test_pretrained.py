"""What a version directory in Hugging Face layout must be, and what is refused before it becomes a network."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, OwlViTConfig, OwlViTForObjectDetection

from shared.accel.pretrained import read_pretrained
from shared.accel.tokenizer import read_tokenizer
from shared.serving.model import RefusedWeights

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = TOWER | {"vocab_size": 99, "max_position_embeddings": 16}
VISION = TOWER | {"image_size": 32, "patch_size": 16}
CLIP: dict[str, Any] = {"clip": CLIPModel}
OWLVIT: dict[str, Any] = {"owlvit": OwlViTForObjectDetection}
VOCABULARY = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2, "a": 3, "b": 4, "b</w>": 5, "ab</w>": 6, "c</w>": 7}


@pytest.fixture
def version(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=24)).save_pretrained(tmp_path)
    return tmp_path


def change_config(version: Path, **fields: Any) -> None:
    file = version / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def change_tensors(version: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(version / "model.safetensors")
    change(tensors)
    save_file(tensors, version / "model.safetensors")


def outputs(module: Any) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(2, 3, 32, 32, generator=generator)
    ids = torch.tensor([[0, 5, 6, 98], [0, 7, 98, 98]])
    with torch.inference_mode():
        return [module.get_image_features(pixels).pooler_output, module.get_text_features(ids).pooler_output]


def assert_reads_like_transformers(version: Path) -> None:
    module: Any = read_pretrained(version, architectures=CLIP).module
    theirs: Any = CLIPModel.from_pretrained(version, dtype=torch.float32)  # in eval mode
    assert not module.training
    assert not any(weight.requires_grad for weight in module.parameters())
    for mine, other in zip(outputs(module), outputs(theirs), strict=True):
        assert torch.equal(mine, other)


def test_a_version_reads_as_transformers_reads_it(version: Path) -> None:
    assert_reads_like_transformers(version)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(dtype: torch.dtype, version: Path) -> None:
    change_tensors(version, lambda tensors: tensors.update({k: v.to(dtype) for k, v in tensors.items()}))
    assert_reads_like_transformers(version)


def test_shards_are_read_by_their_index(version: Path) -> None:
    CLIPModel.from_pretrained(version).save_pretrained(version, max_shard_size="40KB")
    (version / "model.safetensors").unlink(missing_ok=True)
    assert len(list(version.glob("model-*.safetensors"))) > 1
    assert_reads_like_transformers(version)


def test_counters_of_older_checkpoints_are_left_out(version: Path) -> None:
    name = "text_model.embeddings.position_ids"
    change_tensors(version, lambda tensors: tensors.update({name: torch.arange(16)[None]}))
    assert_reads_like_transformers(version)


def test_an_owlvit_is_built_with_its_box_bias(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs: Any = OwlViTForObjectDetection(OwlViTConfig(text_config=TEXT, vision_config=VISION, projection_dim=32))
    theirs.save_pretrained(tmp_path)
    read = read_pretrained(tmp_path, architectures=OWLVIT)
    module: Any = read.module
    assert read.config.projection_dim == 32
    assert torch.equal(module.box_bias, theirs.box_bias)


def test_initialisation_is_switched_on_again_after_reading(version: Path) -> None:
    read_pretrained(version, architectures=CLIP)
    assert torch.nn.Linear(8, 8).weight.std() > 0.05


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"model_type": "siglip"}, "'siglip' is not served here, only clip"),
        ({"model_type": None}, "is not served here"),
        ({"auto_map": {"AutoModel": "x.Model"}}, "auto_map"),
        ({"text_config": TEXT | {"auto_map": {}}}, "auto_map"),
        ({"text_config": TEXT | {"hidden_size": "large"}}, "config.json is not one of a CLIPModel"),
        ({"text_config": TEXT | {"num_attention_heads": 3}}, "config.json is not one of a CLIPModel"),
        ({"vision_config": VISION | {"patch_size": 0}}, "No CLIPModel can be built"),
        ({"text_config": TEXT | {"num_hidden_layers": 3}}, "16 tensors of the architecture are missing"),
        ({"text_config": TEXT | {"num_hidden_layers": 1}}, "16 tensors are not the architecture's"),
        ({"projection_dim": 10**12}, "config.json tells of"),
    ],
)
def test_a_config_that_cannot_be_served_is_refused(fields: dict[str, Any], sentence: str, version: Path) -> None:
    change_config(version, **fields)
    with pytest.raises(RefusedWeights, match=sentence):
        read_pretrained(version, architectures=CLIP)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tensors: tensors.pop("logit_scale"), "1 tensors of the architecture are missing.* logit_scale"),
        (lambda tensors: tensors.update(extra=torch.ones(1)), "1 tensors are not the architecture's.* extra"),
        (lambda tensors: tensors["logit_scale"].fill_(torch.nan), "logit_scale holds values that are not finite"),
        (lambda tensors: tensors.update(logit_scale=torch.ones(2)), "logit_scale is a tensor of"),
        (lambda tensors: tensors.update(logit_scale=torch.tensor(1)), "logit_scale is a tensor of torch.int64"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(change: Any, sentence: str, version: Path) -> None:
    change_tensors(version, change)
    with pytest.raises(RefusedWeights, match=sentence):
        read_pretrained(version, architectures=CLIP)


@pytest.mark.parametrize("text", ["[]", "{", "null", '{"weight_map": {"a": "../model.safetensors"}}'])
def test_an_index_that_is_none_or_leads_elsewhere_is_refused(text: str, version: Path) -> None:
    (version / "model.safetensors.index.json").write_text(text)
    with pytest.raises(RefusedWeights):
        read_pretrained(version, architectures=CLIP)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_version_without_its_files_is_refused(missing: str, version: Path) -> None:
    (version / missing).unlink()
    with pytest.raises(RefusedWeights, match=missing):
        read_pretrained(version, architectures=CLIP)


def tokenizer() -> CLIPTokenizer:
    merges: Any = [("a", "b</w>")]
    return CLIPTokenizer(vocab=dict(VOCABULARY), merges=merges)


def test_a_tokenizer_reads_the_same_from_either_kind_of_file(tmp_path: Path) -> None:
    tokenizer().save_pretrained(tmp_path)
    whole = read_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.json").write_text(json.dumps(VOCABULARY))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    parts = read_tokenizer(tmp_path)
    for text in ("AB  c", "a", "", "abab c a"):
        assert whole.ids(text) == parts.ids(text) == tuple(tokenizer()(text)["input_ids"])
    assert whole.ids("AB c") == (0, 6, 7, 1)
    assert whole.size == parts.size == len(VOCABULARY)


def test_a_tokenizer_never_cuts_a_text(tmp_path: Path) -> None:
    cutting = tokenizer()
    cutting.backend_tokenizer.enable_truncation(4)
    cutting.save_pretrained(tmp_path)
    assert len(read_tokenizer(tmp_path).ids("a " * 50)) == 52


def test_tokenizers_are_told_apart_by_their_digest(tmp_path: Path) -> None:
    digests = set()
    for name, vocabulary in (("one", VOCABULARY), ("same", VOCABULARY), ("other", VOCABULARY | {"d</w>": 8})):
        merges: Any = []
        CLIPTokenizer(vocab=dict(vocabulary), merges=merges).save_pretrained(tmp_path / name)
        digests.add(read_tokenizer(tmp_path / name).digest)
    assert len(digests) == 2


@pytest.mark.parametrize("content", [None, "{}", "{", "\udcff"])
def test_a_tokenizer_that_cannot_be_read_is_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(RefusedWeights):
        read_tokenizer(tmp_path)
