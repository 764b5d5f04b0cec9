"""The demo CLIP with the two towers of a trained OWL-ViT, and its forward pass."""

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPTokenizer,
    CLIPVisionConfig,
    OwlViTForObjectDetection,
)

from services.finetune.demo import texts, tower
from services.finetune.demo.codes import Codes
from services.finetune.demo.pictures import SIDE, Dataset

TEXT_LENGTH = 32  # tokens: captions name up to six things


def build(owlvit: OwlViTForObjectDetection, tokenizer: CLIPTokenizer) -> CLIPModel:
    """A CLIP of 1.6 million parameters; both of its towers begin where those of `owlvit` ended."""
    text = CLIPTextConfig(**texts.config(tokenizer), projection_dim=texts.WIDTH)
    vision = CLIPVisionConfig(**tower.config(), projection_dim=texts.WIDTH)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=texts.WIDTH)
    model = CLIPModel(config)
    state = model.state_dict()
    for name, value in owlvit.owlvit.state_dict().items():
        if name != "logit_scale":
            # CLIP's text positions are more; its pre_layrnorm keeps a misspelling of the first release.
            state[name.replace("pre_layernorm", "pre_layrnorm")][: len(value)] = value
    model.load_state_dict(state)
    return model


def processor(tokenizer: CLIPTokenizer) -> CLIPProcessor:
    """The middle of a picture, scaled to the tower's size."""
    images = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return CLIPProcessor(image_processor=images, tokenizer=tokenizer)  # type: ignore[no-untyped-call]


def embed(model: CLIPModel, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """What the patches know, `[pictures, patches, width]`, and unit embeddings `[pictures, width]`."""
    seen = model.vision_model(pixel_values=pixels)
    return seen.last_hidden_state[:, 1:], F.normalize(model.visual_projection(seen.pooler_output), dim=-1)


@torch.no_grad()
def fit_projection(model: CLIPModel, data: Dataset, codes: Codes, *, pictures: int = 2500) -> None:
    """Set the projection of pictures by ridge regression onto the codes of what they show: a start, not an end."""
    chosen = range(0, len(data), max(1, len(data) // pictures))
    batches = [chosen[at : at + 100] for at in range(0, len(chosen), 100)]
    pooled = torch.cat([model.vision_model(pixel_values=data.pixels(batch)).pooler_output for batch in batches])
    targets = torch.cat([codes.of_pictures(data.truth(batch)) for batch in batches])
    ridge = pooled.T @ pooled + 0.1 * torch.eye(pooled.shape[1])
    model.visual_projection.weight.copy_(torch.linalg.solve(ridge, pooled.T @ targets).T)
