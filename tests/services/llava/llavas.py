"""Small random LLaVAs with the architecture of LLaVA-1.5, and what transformers says with them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from transformers import CLIPImageProcessor, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from services.llava.blocks import BLOCK, Blocks
from services.llava.graphs import Graphs
from services.llava.memory import Memory
from services.llava.network import Network
from services.llava.prompt import Prompt, Span
from services.llava.runner import Runner
from services.llava.scheduler import Scheduler
from services.llava.speaker import Speaker
from services.llava.tower import Tower
from shared.accel.pixels import PixelConfig, normalise
from tests.services.llava import small_words

IMAGE, END = 3, 2  # as the marks of `small_words` are numbered
CPU = torch.device("cpu")


def llava(*, side: int = 32, patch: int = 8, shared: int = 4, seed: int = 0, vocabulary: int = 96) -> Any:
    """Random weights, large enough for answers that differ; `shared` heads of keys for four of queries."""
    torch.manual_seed(seed)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, image_size=side,
        patch_size=patch, projection_dim=32,
    )  # fmt: skip
    text = LlamaConfig(
        hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=shared,
        vocab_size=vocabulary, max_position_embeddings=4096, pad_token_id=0, bos_token_id=1, eos_token_id=END,
    )  # fmt: skip
    config: Any = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=IMAGE, image_seq_length=(side // patch) ** 2,
        vision_feature_layer=-2,
    )  # fmt: skip
    model: Any = LlavaForConditionalGeneration(config)
    model.eval()
    model.generation_config.update(pad_token_id=0, bos_token_id=1, eos_token_id=END)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.6 / parameter.shape[-1] ** 0.5 if parameter.shape[0] != vocabulary else 0.5)
    return model


def version(folder: Path, **options: Any) -> Any:
    """Write a version directory of `llava(**options)` with a byte-level tokenizer; returns the model."""
    tokenizer = small_words.byte_level()
    model = llava(vocabulary=tokenizer.get_vocab_size(), **options)
    model.save_pretrained(folder)
    small_words.write(tokenizer, folder)
    side = model.config.vision_config.image_size
    square = {"height": side, "width": side}
    CLIPImageProcessor(size={"shortest_edge": side}, crop_size=square).save_pretrained(folder)
    return model


def pixel_config(side: int = 32) -> PixelConfig:
    """0 to 255 brought to about -1 to 1."""
    return PixelConfig((side, side), None, InterpolationMode.BICUBIC, False, (127.5,) * 3, (64.0,) * 3)


def picture(number: int, side: int = 32) -> Tensor:
    """uint8 `[3, side, side]`."""
    return torch.randint(256, (3, side, side), generator=torch.Generator().manual_seed(number), dtype=torch.uint8)


@dataclass(frozen=True, slots=True)
class Room:
    """Of an engine: blocks of memory, tokens of prompts that a step reads; the desk as in `Memory`."""

    blocks: int = 200
    budget: int = 64
    desk: int = 2**24
    fixed: bool = False


def speaker(model: Any, room: Room | None = None, *, graphs: bool | None = None, ahead: bool = False) -> Speaker:
    """The engine around `model`, on its device, for 16 who speak at once.

    `graphs` None: no steps in shapes that come again; False: such steps, but none captured; True: captured.
    """
    room, config = room or Room(), model.config
    tower = Tower(model, pixel_config(config.vision_config.image_size), device=model.device, keep=10**7, name="llava")
    network = Network(model, context=room.blocks * BLOCK)
    memory = Memory(config.text_config, blocks=room.blocks, like=network.embeddings, desk=room.desk, fixed=room.fixed)
    shapes = None if graphs is None else Graphs(network, memory, capture=graphs)
    scheduler = Scheduler(Blocks(room.blocks), rows=16, budget=room.budget, seen=tower.knows)
    runner = Runner(network, memory, tower, shapes)
    return Speaker(scheduler, runner, judge=lambda error: error, fatal=SystemExit, ahead=ahead)


def prompt(parts: list[list[int] | int], *, patches: int = 16, side: int = 32) -> Prompt:
    """Lists are tokens, numbers are pictures."""
    tokens: list[int] = []
    spans, pixels = [], {}
    for part in parts:
        if isinstance(part, int):
            digest = part.to_bytes(4, "big")
            spans.append(Span(len(tokens), patches, digest))
            pixels[digest] = picture(part, side)
            tokens += [IMAGE] * patches
        else:
            tokens += part
    return Prompt(tuple(tokens), tuple(spans), pixels)


@torch.inference_mode()
def generated(model: Any, asked: Prompt, limit: int, *, pixels: PixelConfig | None = None) -> list[int]:
    """What transformers' own `generate` answers, greedily."""
    shown = torch.stack([asked.pixels[span.digest] for span in asked.spans]) if asked.spans else None
    config = pixels or pixel_config(model.config.vision_config.image_size)
    inputs = {} if shown is None else {"pixel_values": normalise(shown.to(model.device), config).to(model.dtype)}
    ids = torch.tensor([asked.tokens], device=model.device)
    output = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit, do_sample=False, **inputs
    )
    answer: list[int] = output[0, len(asked.tokens) :].tolist()
    return answer
