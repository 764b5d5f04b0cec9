"""CLIP ViT-B/32 and OWL-ViT B/32 with random weights, as directories that transformers writes and our command imports.

config -> random network -> save_pretrained, with its image processor and a tokenizer of single letters
"""

from pathlib import Path
from typing import Any

VOCABULARY = 49_408
CLIP_TOKENS, OWL_TOKENS = 77, 16  # the most of a text


def clip(folder: Path, **config: Any) -> Path:
    """`folder` with a CLIP; `config` makes it another than ViT-B/32."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    return _write(folder, (CLIPConfig(**config), CLIPModel, CLIPImageProcessor), CLIP_TOKENS)


def owlvit(folder: Path, **config: Any) -> Path:
    """`folder` with an OWL-ViT, which sees 768 x 768 pixels; `config` makes it another than B/32."""
    from transformers import OwlViTConfig, OwlViTForObjectDetection, OwlViTImageProcessor

    return _write(folder, (OwlViTConfig(**config), OwlViTForObjectDetection, OwlViTImageProcessor), OWL_TOKENS)


def _write(folder: Path, parts: tuple[Any, Any, Any], longest: int) -> Path:
    import torch  # here alone: the load generator needs none of it

    config, network, processor = parts
    torch.manual_seed(0)
    network(config).save_pretrained(folder)
    processor().save_pretrained(folder)
    _tokenizer(longest).save_pretrained(folder)
    return folder


def _tokenizer(longest: int) -> Any:
    """CLIP's algorithm without a merge: each letter is a token, and words that no text has fill the vocabulary."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    known = [*letters, *(f"{letter}</w>" for letter in letters)]
    filling = [f"unused{number}" for number in range(VOCABULARY - len(known) - 2)]
    tokens = [*known, *filling, "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], pad_token="!", model_max_length=longest)
