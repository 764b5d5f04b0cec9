"""`python -m loadtests.generation FOLDER`: the LLaVA in FOLDER by transformers' own `generate`, with no service around.

questions -> batches -> Pillow, LlavaProcessor, left padding -> generate, until the longest of a batch is done -> texts

A JSON line on standard input asks for a round, with the fields of `Round`; its answer has tokens and seconds.
"""

import io
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from loadtests.conversations import Question, end_mark, mixed


@dataclass(frozen=True, slots=True)
class Round:
    """Which questions, and how many of them at a time."""

    count: int
    turn: int
    batch: int = 1


class Generator:
    """A LLaVA in eager float32 with one thread."""

    def __init__(self, folder: Path) -> None:
        from transformers import LlavaForConditionalGeneration, LlavaProcessor

        self.end = end_mark(folder)
        self._processor: Any = LlavaProcessor.from_pretrained(folder)
        self._processor.tokenizer.padding_side = "left"
        self._model: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)  # to evaluate
        self._model.generation_config.eos_token_id = None  # an answer ends by its length alone

    def round(self, wanted: Round) -> dict[str, float]:
        """Answer all questions; only the tokens that were asked for count, not those that a batch adds to them."""
        questions = mixed(wanted.count, turn=wanted.turn, end=self.end)
        began = time.monotonic()
        for start in range(0, wanted.count, wanted.batch):
            self.answer(questions[start : start + wanted.batch])
        return {"tokens": sum(each.tokens for each in questions), "seconds": time.monotonic() - began}

    @torch.inference_mode()
    def answer(self, questions: Sequence[Question]) -> list[str]:
        """The answers to a batch, each as long as it should be."""
        pictures = [Image.open(io.BytesIO(png)).convert("RGB") for each in questions for png in each.pictures]
        prompts = [each.prompt for each in questions]
        inputs = self._processor(images=pictures or None, text=prompts, padding=True, return_tensors="pt")
        longest = max(each.tokens for each in questions)
        said = self._model.generate(**inputs, max_new_tokens=longest, do_sample=False, suppress_tokens=[self.end])
        answers = said[:, inputs.input_ids.shape[1] :]
        own = [answer[: each.tokens] for answer, each in zip(answers, questions, strict=True)]
        texts: list[str] = self._processor.batch_decode(own, skip_special_tokens=True)
        return texts


def main() -> None:
    """Answer a line per round until standard input ends."""
    torch.set_num_threads(1)
    generator = Generator(Path(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(generator.round(Round(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
