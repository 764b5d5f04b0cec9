"""The demo OWL-ViT around a trained vision tower, and its forward pass with one list of queries for a whole batch."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import (
    CLIPTokenizer,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
    OwlViTProcessor,
    OwlViTVisionModel,
)

from services.finetune.demo import texts, tower
from services.finetune.demo.pictures import SIDE

TEXT_LENGTH = 16  # tokens


@dataclass(frozen=True, slots=True)
class Answer:
    """What every patch says; training needs more of it than Hugging Face's output holds."""

    hidden: Tensor  # [pictures, patches, width] of the tower
    logits: Tensor  # [pictures, patches, queries]
    embeddings: Tensor  # [pictures, patches, width] of what is there
    box_logits: Tensor  # [pictures, patches, 4]

    @property
    def boxes(self) -> Tensor:
        """Centre x, centre y, width, height in 0-1: `[pictures, patches, 4]`."""
        return self.box_logits.sigmoid()


def build(vision: OwlViTVisionModel, tokenizer: CLIPTokenizer) -> OwlViTForObjectDetection:
    """An OWL-ViT with a trained tower; 1.7 million parameters."""
    text = {**texts.config(tokenizer), "hidden_act": "quick_gelu"}
    config = OwlViTConfig(text_config=text, vision_config=tower.config(), projection_dim=texts.WIDTH)
    model = OwlViTForObjectDetection(config)
    own = model.owlvit.vision_model
    own.load_state_dict(vision.vision_model.state_dict())
    # Every patch is multiplied by the class token; around one, a product is nearly a sum, and features survive it.
    nn.init.constant_(own.post_layernorm.weight, 0.3)
    nn.init.ones_(own.post_layernorm.bias)
    _start_heads(model)
    return model


def processor(tokenizer: CLIPTokenizer) -> OwlViTProcessor:
    """Pictures are squeezed into a square, as Hugging Face's OWL-ViT does."""
    side = {"height": SIDE, "width": SIDE}
    images = OwlViTImageProcessor(size=side, crop_size=side)
    return OwlViTProcessor(image_processor=images, tokenizer=tokenizer)  # type: ignore[no-untyped-call]


def answer(model: OwlViTForObjectDetection, pixels: Tensor, queries: Tensor) -> Answer:
    """What the patches of `pixels` `[pictures, 3, 128, 128]` say to `queries` `[queries, width]`."""
    grid, vision = model.image_embedder(pixels)  # type: ignore[misc]
    features = grid.flatten(1, 2)
    logits, embeddings = model.class_predictor(features, queries.expand(len(pixels), -1, -1))  # type: ignore[misc]
    box_logits = model.box_head(features) + model.box_bias
    return Answer(vision.last_hidden_state[:, 1:], logits, embeddings, box_logits)


@torch.no_grad()
def _start_heads(model: OwlViTForObjectDetection) -> None:
    """The heads come with weights of spread one, which saturate a network this narrow."""
    for layer in (model.box_head.dense0, model.box_head.dense1, model.class_head.dense0):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    for layer in (model.box_head.dense2, model.class_head.logit_shift, model.class_head.logit_scale):
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
    nn.init.constant_(model.class_head.logit_shift.bias, -0.8)  # a cosine of 0.8 is a probability of a half
    nn.init.constant_(model.class_head.logit_scale.bias, 9.0)  # elu(9) + 1 = 10
