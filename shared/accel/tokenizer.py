"""Text -> token ids, with the tokenizer that a version directory holds: its data, never its code.

tokenizer.json            the whole pipeline, told as data
vocab.json + merges.txt   CLIP's byte-pair encoding, with CLIP's pipeline around it
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Pipeline
from transformers import CLIPTokenizer

from shared.accel.pretrained import read_json
from shared.serving.model import RefusedWeights
from shared.weights.digest import digest


class Tokenizer:
    """A tokenizer of one version; any number of threads may use it at once."""

    def __init__(self, pipeline: Pipeline) -> None:
        pipeline.no_truncation()  # a text that is too long is refused by name, not cut in silence
        pipeline.no_padding()
        self._pipeline = pipeline
        vocabulary = pipeline.get_vocab(with_added_tokens=True)
        self.size = max(vocabulary.values(), default=-1) + 1
        # Of the vocabulary alone: how the library spells a pipeline may change from release to release.
        self.digest = digest(json.dumps(vocabulary, sort_keys=True).encode())

    def ids(self, text: str) -> tuple[int, ...]:
        """The ids of `text`, those that mark its begin and end included. `text` must be encodable as UTF-8."""
        return tuple(self._pipeline.encode(text).ids)


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a version directory. Raises `RefusedWeights` where there is none that can be read."""
    try:
        if (path / "tokenizer.json").exists():
            return Tokenizer(Pipeline.from_str((path / "tokenizer.json").read_text("utf-8")))
        return Tokenizer(_from_merges(path))
    except RefusedWeights:
        raise
    except Exception as error:
        raise RefusedWeights("The tokenizer of the version cannot be read.") from error


def _from_merges(path: Path) -> Pipeline:
    vocabulary = read_json(path / "vocab.json")
    lines = (path / "merges.txt").read_text("utf-8").splitlines()
    merges: Any = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    pipeline: Pipeline = CLIPTokenizer(vocab=vocabulary, merges=merges).backend_tokenizer
    return pipeline
