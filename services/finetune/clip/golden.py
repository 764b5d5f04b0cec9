"""Golden cases of a taught CLIP: texts and pictures of its own data, and transformers' own answers to them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from transformers import CLIPModel, CLIPProcessor
from transformers.utils import logging

from services.finetune.data.examples import PairExample
from services.finetune.demo.clip_golden import write_cases
from services.finetune.towers.shown import thumbnail

TEXTS, PICTURES = 6, 3
Each = TypeVar("Each")


def write_golden(version: Path, examples: Sequence[PairExample]) -> None:
    """Write golden.json and its pictures into a version's directory; the examples are chosen evenly."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = CLIPModel.from_pretrained(version, dtype=torch.float32, local_files_only=True)
    processor = CLIPProcessor.from_pretrained(version, local_files_only=True)
    texts = sorted({example.text for example in examples})
    pictures = [thumbnail(example.picture) for example in _evenly(examples, PICTURES)]
    write_cases(model, processor, version, texts=_evenly(texts, TEXTS), pictures=pictures)


def _evenly(each: Sequence[Each], most: int) -> list[Each]:
    count = min(most, len(each))
    return [each[number * len(each) // count] for number in range(count)]
