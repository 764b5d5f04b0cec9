"""The public checkpoints' own sizes: OWL-ViT B/32 with random weights in float32, the larger ones by their shapes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    Owlv2Config,
    Owlv2ForObjectDetection,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
)
from transformers.initialization import no_init_weights

from services.owlvit.model import Item, OwlVit
from services.owlvit.network import Network
from services.owlvit.weights import Defaults, State
from shared.accel.pixels import normalise, read_pixel_config
from shared.accel.pretrained import Pretrained
from shared.accel.tokenizer import read_tokenizer
from tests.services.owlvit.owls import ALL, CPU, FILES, ask, version


def base_32() -> Any:
    """OWL-ViT B/32 as its config class describes it by default, at 768 pixels."""
    torch.manual_seed(0)
    with no_init_weights():
        module: Any = OwlViTForObjectDetection(OwlViTConfig())
    for name, parameter in module.named_parameters():
        norm = "norm" in name
        torch.nn.init.normal_(parameter, mean=float(norm and name.endswith("weight")), std=0.02)
    torch.nn.init.constant_(module.class_head.logit_scale.bias, 9.0)
    return module.eval().requires_grad_(False)


def test_owl_vit_b_32_answers_as_transformers_forward(tmp_path: Path) -> None:
    module = base_32()
    OwlViTImageProcessor().save_pretrained(tmp_path)
    config, tokenizer = read_pixel_config(tmp_path), read_tokenizer(version("owlvit"))
    owl = OwlVit(CPU)
    owl.use(State(Pretrained(module, module.config, {}), config, tokenizer, Defaults(), ()))
    features = owl.preprocess(Item(FILES[0], ask("cat", "a red"), ALL))
    assert owl.cost(features) == 768 * 768
    (found,) = owl.predict([features])

    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(one) for one in features.phrases], batch_first=True)
    with torch.inference_mode():
        output = module(input_ids=ids, pixel_values=normalise(features.picture.pixels[None], config))
    scores = output.logits[0].max(-1).values.sigmoid().sort(descending=True).values
    assert len(scores) == 576
    assert [one.score for one in found.items] == pytest.approx(scores[:300].tolist(), abs=1e-4)


LARGE = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
SIZES: dict[str, tuple[Any, Any, dict[str, int], int]] = {
    "OWL-ViT B/16": (OwlViTForObjectDetection, OwlViTConfig, {"patch_size": 16}, 48),
    "OWL-ViT L/14": (OwlViTForObjectDetection, OwlViTConfig, {**LARGE, "patch_size": 14, "image_size": 840}, 60),
    "OWLv2 B/16": (Owlv2ForObjectDetection, Owlv2Config, {"patch_size": 16, "image_size": 960}, 60),
    "OWLv2 L/14": (Owlv2ForObjectDetection, Owlv2Config, {**LARGE, "patch_size": 14, "image_size": 1008}, 72),
}


@pytest.mark.parametrize(("architecture", "config", "vision", "side"), SIZES.values(), ids=list(SIZES))
def test_larger_ones_fit_by_their_shapes(architecture: Any, config: Any, vision: dict[str, int], side: int) -> None:
    meta = torch.device("meta")
    with meta, no_init_weights():
        module = architecture(config(vision_config=vision))
    network = Network(module.eval().requires_grad_(False), meta, torch.bfloat16)
    pixels = module.config.vision_config.image_size
    with torch.inference_mode(), meta:
        patches = network.see(torch.empty(2, 3, pixels, pixels))
        queries = [torch.empty(count, module.config.text_config.hidden_size) for count in (3, 7)]
        assert network.logits(patches, queries).shape == (2, side * side, 7)
        assert network.boxes(patches).shape == (2, side * side, 4)
        assert network.embed_example(patches[0], None).shape == (1, module.config.text_config.hidden_size)
        assert network.embed_text([(1, 2, 3), (1, 3)]).shape == (2, module.config.projection_dim)
