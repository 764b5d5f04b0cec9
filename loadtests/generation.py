"""`python -m loadtests.generation FOLDER [cuda]`: the LLaVA in FOLDER by transformers' own `generate`, with no service.

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
    """Which questions, how many of them at a time, and how long their answers are, unless of all lengths (0)."""

    count: int
    turn: int
    batch: int = 1
    tokens: int = 0


class Generator:
    """A LLaVA, eager: in float32 with one thread, or on a GPU in bfloat16."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from transformers import LlavaForConditionalGeneration, LlavaProcessor

        self.end = end_mark(folder)
        self._device, self._dtype = device, torch.float32 if device == "cpu" else torch.bfloat16
        self._processor: Any = LlavaProcessor.from_pretrained(folder)
        self._processor.tokenizer.padding_side = "left"
        self._model: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=self._dtype)  # to evaluate
        move: Any = self._model.to  # whose types are those of a wrapper
        move(device)
        self._model.generation_config.eos_token_id = None  # an answer ends by its length alone

    def round(self, wanted: Round) -> dict[str, float]:
        """Answer all questions; only the tokens that were asked for count, not those that a batch adds to them."""
        questions = mixed(wanted.count, turn=wanted.turn, end=self.end, tokens=wanted.tokens)
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
        inputs = inputs.to(self._device, self._dtype)  # pixels alone are of that type
        longest = max(each.tokens for each in questions)
        said = self._model.generate(**inputs, max_new_tokens=longest, do_sample=False, suppress_tokens=[self.end])
        answers = said[:, inputs.input_ids.shape[1] :]
        own = [answer[: each.tokens] for answer, each in zip(answers, questions, strict=True)]
        texts: list[str] = self._processor.batch_decode(own, skip_special_tokens=True)
        return texts


def main() -> None:
    """Answer a line per round until standard input ends."""
    torch.set_num_threads(1)
    generator = Generator(Path(sys.argv[1]), *sys.argv[2:])
    for line in sys.stdin:
        print(json.dumps(generator.round(Round(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
