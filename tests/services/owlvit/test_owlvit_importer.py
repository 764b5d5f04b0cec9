"""`ocelli models import` of OWL-ViT and OWLv2: from a Hugging Face directory to the service that answers from it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from services.owlvit.importer import FAMILY
from services.owlvit.model import OwlVit
from shared.cli import main
from shared.weights.store import Store
from tests.services.owlvit.owls import CPU, FAMILIES, FILES, LABELS, ask, detector, network, run, tokenizer, write
from tests.shared.accel.checkpoints import change_json, change_tensors, shapes

VISION = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
PUBLIC: dict[str, tuple[str, dict[str, Any], int]] = {
    "OWL-ViT B/32": ("owlvit", {"vision_config": VISION | {"patch_size": 32, "image_size": 768}}, 153_231_879),
    "OWLv2 B/16": ("owlv2", {"vision_config": VISION | {"patch_size": 16, "image_size": 960}}, 154_966_792),
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("OCELLI_STORE", f"file://{tmp_path}/store")
    return Store(f"file://{tmp_path}/store")


@pytest.mark.parametrize("kind", FAMILIES)
def test_an_imported_owl_finds_what_the_original_finds(store: Store, tmp_path: Path, kind: str) -> None:
    source = write(network(kind), tmp_path / f"tiny-{kind}", kind)
    assert main(["models", "import", str(source), "--as", "owlvit", "--version", "mine"]) == 0
    owl = OwlVit(CPU)
    owl.use(owl.read(store.fetch("owlvit@mine", tmp_path / "cache").path))
    query = ask(*LABELS)
    assert run(owl, FILES, query) == run(detector(kind), FILES, query)
    assert store.manifest("owlvit", "mine").description.startswith(type(network(kind)).__name__)


def test_an_owl_is_not_imported_as_clip(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(network("owlv2"), tmp_path / "owl", "owlv2")
    assert main(["models", "import", str(source), "--as", "clip"]) == 1
    assert "model_type 'owlv2' is not served as clip; say --as owlvit." in capsys.readouterr().err
    assert store.models() == []


def test_a_tokenizer_with_ids_above_its_end_is_refused(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(network("owlvit"), tmp_path / "owl", "owlvit")
    larger = tokenizer()
    larger.add_tokens(["ocelli"])
    text = json.loads((source / "config.json").read_text())["text_config"]
    change_json(source / "config.json", text_config=text | {"vocab_size": len(larger)})
    embedding = "owlvit.text_model.embeddings.token_embedding.weight"
    change_tensors(source, lambda tensors: tensors.update({embedding: torch.zeros(len(larger), 32)}))
    larger.save_pretrained(source)
    assert main(["models", "import", str(source), "--as", "owlvit"]) == 1
    assert "ids above its end of a text" in capsys.readouterr().err
    assert store.models() == []


def test_the_processor_of_an_owlvit_does_not_serve_an_owlv2_without_its_padding(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(network("owlv2"), tmp_path / "owl", "owlv2")
    change_json(source / "preprocessor_config.json", do_pad=False)
    assert main(["models", "import", str(source), "--as", "owlvit"]) == 1
    assert "leaves out the resizing or the padding" in capsys.readouterr().err
    assert store.models() == []


@pytest.mark.parametrize(("kind", "fields", "parameters"), PUBLIC.values(), ids=PUBLIC.keys())
def test_the_public_sizes_are_built_from_their_configs(kind: str, fields: dict[str, Any], parameters: int) -> None:
    built = shapes(FAMILY.architectures[kind], fields)
    assert sum(map(math.prod, built.values())) == parameters
    assert any(name.startswith("objectness_head.") for name in built) == (kind == "owlv2")
