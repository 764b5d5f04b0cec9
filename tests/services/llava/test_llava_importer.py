"""A Hugging Face directory of LLaVA-1.5's layout becomes a version, and answers as transformers does with it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from services.llava.chat import Message, Picture, Talk
from services.llava.importer import FAMILY
from services.llava.model import Llava
from shared.accel.importing import import_pretrained
from shared.serving.model import RefusedWeights
from shared.weights.errors import RefusedVersion
from shared.weights.store import Store
from tests.services.llava import llavas
from tests.services.llava.llavas import CPU


def published(source: Path, tmp_path: Path) -> Path:
    """The directory of the version that `source` becomes."""
    store = Store(str(tmp_path / "store"))
    identity = import_pretrained(store, source, families=[FAMILY], model="llava", version="a")
    return store.fetch(f"llava@{identity.version}", tmp_path / "cache").path


def png(tmp_path: Path) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return (tmp_path / "a.png").read_bytes()


def answered(version: Path, talk: Talk) -> tuple[Llava, list[int]]:
    """The greedy answer of the served version."""
    model = Llava(CPU)
    model.use(model.read(version))
    return model, list(model.predict([model.preprocess(talk)])[0])


@pytest.mark.parametrize("side", [32, 112], ids=["16 tokens a picture", "196 tokens a picture"])
def test_it_answers_as_transformers_does(side: int, tmp_path: Path) -> None:
    network = llavas.version(tmp_path / "source", side=side)
    talk = Talk((Message("user", (Picture(png(tmp_path)), "What is this?")),), limit=12)
    model, answer = answered(published(tmp_path / "source", tmp_path), talk)
    prompt = model.preprocess(talk).prompt
    pixels = torch.stack([prompt.pixels[span.digest] for span in prompt.spans])
    expected = llavas.generated(network, prompt, 12, pixels=model.serving.state.pixels)
    assert len(pixels) == 1 and answer == expected


def test_shards_and_the_names_of_older_releases_are_read(tmp_path: Path) -> None:
    network = llavas.version(tmp_path / "source")
    tensors = load_file(tmp_path / "source/model.safetensors")
    assert any(name.startswith("language_model.model.") for name in tensors)
    older = {name.replace("vision_tower.", "vision_tower.vision_model."): value for name, value in tensors.items()}
    names = sorted(older)
    shards = {f"model-0000{n + 1}-of-00002.safetensors": names[n::2] for n in range(2)}
    for file, held in shards.items():
        save_file({name: older[name] for name in held}, tmp_path / "source" / file)
    index = {"weight_map": {name: file for file, held in shards.items() for name in held}}
    (tmp_path / "source/model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "source/model.safetensors").unlink()
    talk = Talk((Message("user", ("Hello",)),), limit=12)
    model, answer = answered(published(tmp_path / "source", tmp_path), talk)
    assert answer == llavas.generated(network, model.preprocess(talk).prompt, 12)


def test_a_template_that_a_checkpoint_brings_is_never_run(tmp_path: Path) -> None:
    llavas.version(tmp_path / "source")
    trap = "{{ cycler.__init__.__globals__.os.system('touch " + str(tmp_path / "ran") + "') }}"
    settings = json.loads((tmp_path / "source/tokenizer_config.json").read_text())
    (tmp_path / "source/tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": trap}))
    (tmp_path / "source/chat_template.jinja").write_text(trap)
    version = published(tmp_path / "source", tmp_path)
    answered(version, Talk((Message("user", ("Hello",)),), limit=2))
    assert not (tmp_path / "ran").exists()
    assert not (version / "chat_template.jinja").exists()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"auto_map": {"AutoModel": "evil.Model"}}),
        ("config.json", {"text_config": {"model_type": "mistral"}}),
        ("config.json", {"image_token_index": None}),
        ("config.json", {"vision_config": {"model_type": "clip_vision_model", "image_size": 64, "patch_size": 8}}),
        ("preprocessor_config.json", {"crop_size": {"height": 16, "width": 16}}),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(file: str, change: dict[str, Any], tmp_path: Path) -> None:
    llavas.version(tmp_path / "source")
    fields = json.loads((tmp_path / "source" / file).read_text())
    (tmp_path / "source" / file).write_text(json.dumps({**fields, **change}))
    with pytest.raises((RefusedVersion, RefusedWeights)):
        answered(published(tmp_path / "source", tmp_path), Talk((Message("user", ("Hello",)),), limit=2))
