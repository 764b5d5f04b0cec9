"""The tokenizer of the demo CLIP and OWL-ViT: CLIP's algorithm and id layout with a vocabulary of a few hundred tokens.

    0 … 255 bytes · 256 … 511 bytes that end a word · merges · <|startoftext|> · <|endoftext|>

The end of text must have the highest id, since OWL-ViT takes its features there. `!` is id 0 and pads, as in OpenAI's
vocabulary. Every word of shapes world is one token; any other text is spelt with bytes.
"""

import json
from collections.abc import Sequence

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from services.finetune.demo import words
from services.finetune.demo.scenes import COLOURS
from services.finetune.demo.shapes import SHAPES

START, END, PAD, SUFFIX = "<|startoftext|>", "<|endoftext|>", "!", "</w>"
GRAMMAR = ("a", "an", "this", "the", "there", "is", "are", "of", "with", "in", "on", "and")
NOUNS = ("photo", "image", "picture", "drawing", "shape", "shapes", "object", "objects")
# Tokens for words that no training here uses: a fine-tuning may teach them.
SPARE = (
    "brown",
    "white",
    "crescent",
    "crescents",
    "arrow",
    "arrows",
    "big",
    "above",
    "below",
    "left",
    "right",
    "center",
)
WORDS = (
    *COLOURS,
    *SHAPES,
    *map(words.plural, SHAPES),
    *words.TEXT_COLOURS,
    *words.TEXT_SHAPES,
    *words.NUMBERS,
    *words.SIZES,
    *GRAMMAR,
    *NOUNS,
    *SPARE,
)


def build(length: int) -> CLIPTokenizer:
    """A tokenizer for texts of at most `length` tokens, start and end included."""
    merges = _merges(WORDS)
    alphabet = _alphabet()
    tokens = dict.fromkeys([*alphabet, *(byte + SUFFIX for byte in alphabet), *("".join(pair) for pair in merges)])
    vocabulary = {token: number for number, token in enumerate([*tokens, START, END])}
    # The library's annotation knows merges as lines of a file only; it takes pairs just as well.
    return CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=PAD, model_max_length=length)  # type: ignore[arg-type]


def _merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """The merges that make one token of each word; the words are learnt one by one, never as a sentence.

    Every letter has its number beforehand. The library would number them in the order of a hash table, and break ties
    between merges by it: another vocabulary at each call.
    """
    model = Tokenizer(models.BPE(end_of_word_suffix=SUFFIX))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    letters = sorted(set("".join(words)))
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        min_frequency=1,
        initial_alphabet=letters,
        special_tokens=[letter + SUFFIX for letter in letters],
        end_of_word_suffix=SUFFIX,
        show_progress=False,
    )
    model.train_from_iterator(words, trainer)
    return [(left, right) for left, right in json.loads(model.to_str())["model"]["merges"]]


def _alphabet() -> list[str]:
    """A printable character for each byte, in OpenAI's order: those that print as themselves come first."""
    characters = sorted(ByteLevel.alphabet())
    return [c for c in characters if ord(c) < 256] + [c for c in characters if ord(c) >= 256]
