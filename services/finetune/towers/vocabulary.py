"""New words for a tokenizer of few words, which would spell them by their letters.

texts -> words that are no token -> one token each, before the marks of begin and end -> rows of the network

A large vocabulary of parts of words, like OpenAI's 49,408, has something to say for any word and is left as it is.
"""

import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from services.finetune.towers.version import change_config
from shared.accel.tokenizer import Tokenizer, read_tokenizer

FEW = 5000  # tokens; a vocabulary of more is one of parts of words
MARKS = 2  # begin and end, which have the highest ids: OWL-ViT finds the end of a text by that
SHORTEST = 3  # letters of a word that is worth a token
SEED = 1
WORD = re.compile(r"[^\W\d_]+")


class Words:
    """The tokenizer of a version with the words of new texts, and what must change with it."""

    def __init__(self, version: Path, tokenizer: Tokenizer, texts: Iterable[str]) -> None:
        """`tokenizer` is the version's own."""
        self._new = new_words(tokenizer, texts) if (version / "tokenizer.json").exists() else []
        self._version, self.tokenizer = version, tokenizer
        if self._new:
            with tempfile.TemporaryDirectory(prefix="ocelli-words-") as folder:
                self.tokenizer = grow(version, self._new, Path(folder))

    def widen(self, text_model: Any) -> None:
        """Give the new words rows in a text tower."""
        if self._new:
            widen(text_model, len(self._new))

    def write(self, candidate: Path) -> None:
        """Write the tokenizer into a candidate, and the size of its vocabulary."""
        if self._new:
            grow(self._version, self._new, candidate)
            end = self.tokenizer.size - 1
            change_config(candidate, "text_config", vocab_size=end + 1, bos_token_id=end - 1, eos_token_id=end)


def new_words(tokenizer: Tokenizer, texts: Iterable[str]) -> list[str]:
    """The words of `texts` that `tokenizer` has no token for, sorted; none for a large vocabulary."""
    if tokenizer.size > FEW:
        return []
    words = sorted({word for text in texts for word in WORD.findall(text.lower())})
    return [word for word in words if len(word) >= SHORTEST and len(tokenizer.ids(word)) > 1 + MARKS]


def grow(version: Path, words: Sequence[str], folder: Path) -> Tokenizer:
    """Write the tokenizer of `version` with a token more for each of `words` into `folder`, and read it.

    tokenizer.json alone changes: transformers and the services both read it, whatever else lies there.
    """
    pipeline = json.loads((version / "tokenizer.json").read_text("utf-8"))
    first = len(pipeline["model"]["vocab"]) - MARKS
    _move_marks(pipeline, first, len(words))
    pipeline["model"]["vocab"] |= {word: first + number for number, word in enumerate(words)}
    added = [_added(word, first + number) for number, word in enumerate(words)]
    pipeline["added_tokens"] = sorted([*pipeline["added_tokens"], *added], key=lambda token: int(token["id"]))
    (folder / "tokenizer.json").write_text(json.dumps(pipeline, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return read_tokenizer(folder)


@torch.no_grad()
def widen(text_model: Any, count: int) -> None:
    """Give `count` new words rows in a text tower, before those of the marks: the mean of all rows, and some noise."""
    embeddings: nn.Embedding = text_model.embeddings.token_embedding
    rows = embeddings.weight
    random = torch.randn(count, rows.shape[1], generator=torch.Generator().manual_seed(SEED))
    new: Tensor = rows.mean(0) + rows.std(0) * random
    embeddings.weight = nn.Parameter(torch.cat([rows[:-MARKS], new, rows[-MARKS:]]))
    embeddings.num_embeddings += count
    config = text_model.config
    config.vocab_size += count
    config.bos_token_id, config.eos_token_id = config.vocab_size - 2, config.vocab_size - 1


def _move_marks(pipeline: dict[str, Any], first: int, count: int) -> None:
    """Let the marks, whose ids are `first` and the next, make room for `count` tokens wherever they are named."""
    vocabulary, post = pipeline["model"]["vocab"], pipeline["post_processor"]
    for word, number in vocabulary.items():
        vocabulary[word] = number + count if number >= first else number
    for token in pipeline["added_tokens"]:
        token["id"] += count if token["id"] >= first else 0
    for side in ("sep", "cls"):
        word, number = post[side]
        post[side] = [word, number + count]


def _added(word: str, number: int) -> dict[str, Any]:
    plain = {"lstrip": False, "rstrip": False, "special": False}
    return {"id": number, "content": word, "single_word": True, "normalized": True, **plain}
