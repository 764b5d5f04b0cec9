"""`ocelli models import` of CLIP: from a Hugging Face directory to the service that answers from it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel
from transformers.initialization import no_init_weights

from services.clip.importer import FAMILY
from services.clip.model import Clip, Item
from shared.accel.importing import import_pretrained
from shared.cli import main
from shared.weights.store import Store
from tests.shared.accel.checkpoints import embeddings, shapes, tokenizer, write_clip, write_processor

# As the older public files tell it, wrong special ids included.
STALE = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
BASE_32: dict[str, Any] = {
    "model_type": "clip",
    "projection_dim": 512,
    "text_config": STALE,
    "text_config_dict": None,
    "vision_config": {"patch_size": 32},
    "vision_config_dict": None,
}
LARGE_VISION = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
LARGE_14: dict[str, Any] = {
    "model_type": "clip",
    "projection_dim": 768,
    "text_config": STALE | {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
    "vision_config": LARGE_VISION | {"patch_size": 14},
}
LARGE_14_336 = LARGE_14 | {"vision_config": LARGE_VISION | {"patch_size": 14, "image_size": 336}}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("OCELLI_STORE", f"file://{tmp_path}/store")
    return Store(f"file://{tmp_path}/store")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "tiny-clip")


def test_an_imported_clip_is_served_with_the_answers_of_transformers(
    store: Store, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "import", str(source), "--as", "clip", "--version", "mine", "--champion"]) == 0
    output = capsys.readouterr()
    digest = store.resolve("clip").digest
    assert output.out.splitlines() == [f"published clip@mine  {digest}", "clip@champion -> mine  (was not set)"]
    assert output.err == ""
    clip = Clip(torch.device("cpu"))
    clip.use(clip.read(store.fetch("clip", tmp_path / "cache").path))
    (answer,) = clip.predict([clip.preprocess(Item("ab c", None, "input"))])
    expected = torch.nn.functional.normalize(embeddings(source)[1])[0]
    assert np.allclose(answer.vector, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{source}", "--as", "owlvit"], "model_type 'clip' is not served as owlvit; say --as clip"),
        (["{source}", "--as", "CLIP"], "cannot name a model"),
        (["{source}", "--as", "clip", "--version", "champion"], "is an alias"),
        (["{source}", "--as", "clip", "--labels", "coco"], "--labels belongs to a torchvision state dict"),
        (["{source}/model.safetensors", "--as", "clip"], "needs --architecture"),
        (["{source}-absent", "--as", "clip"], "is no Hugging Face directory"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence_and_exit_code_1(
    store: Store, source: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "import", *(argument.format(source=source) for argument in arguments)]) == 1
    output = capsys.readouterr()
    assert sentence in output.err
    assert len(output.err.splitlines()) == 1
    assert output.out == ""
    assert store.models() == []


def test_a_clip_of_another_name_may_stand_beside_the_first(store: Store, source: Path) -> None:
    assert main(["models", "import", str(source), "--as", "clip-large"]) == 0
    assert store.models() == ["clip-large"]


def test_the_help_shows_commands_to_copy(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["models", "import", "--help"])
    assert "ocelli models import clip-vit-base-patch32/ --as clip --champion" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "parameters", "tensors", "projection"),
    [
        (BASE_32, 151_277_313, 398, [512, 768]),
        (LARGE_14, 427_616_513, 590, [768, 1024]),
        (LARGE_14_336, 427_944_193, 590, [768, 1024]),
    ],
    ids=["ViT-B/32", "ViT-L/14", "ViT-L/14@336"],
)
def test_the_public_sizes_are_built_from_their_configs(
    fields: dict[str, Any], parameters: int, tensors: int, projection: list[int]
) -> None:
    built = shapes(FAMILY.architectures[fields["model_type"]], fields)
    assert sum(map(math.prod, built.values())) == parameters
    assert len(built) == tensors
    assert built["visual_projection.weight"] == projection


def test_a_full_size_clip_in_bfloat16_is_published_bit_for_bit(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "clip-vit-base-patch32"
    with no_init_weights():
        clip = CLIPModel(CLIPConfig.from_dict(BASE_32)).bfloat16()
    for number, weight in enumerate(clip.requires_grad_(False).parameters()):
        weight.fill_(number / 64)
    clip.save_pretrained(folder)
    tokenizer(49_408).save_pretrained(folder)
    write_processor(folder, 224)
    identity = import_pretrained(store, folder, families=[FAMILY], model="clip", version=None)
    version = store.fetch(f"clip@{identity.version}", tmp_path / "cache")
    given, published = (load_file(path / "model.safetensors") for path in (folder, version.path))
    assert given.keys() == published.keys()
    assert all(tensor.dtype == torch.bfloat16 and torch.equal(tensor, given[n]) for n, tensor in published.items())
