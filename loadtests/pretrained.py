"""Random weights as directories that transformers writes and our command imports: CLIP, OWL-ViT, a small LLaVA.

config -> random network -> save_pretrained, with its image processor and a tokenizer of single letters
"""

import json
from pathlib import Path
from typing import Any

VOCABULARY = 49_408
CLIP_TOKENS, OWL_TOKENS = 77, 16  # the most of a text
EYES = {
    "image_size": 336, "patch_size": 14, "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 3,
    "num_attention_heads": 4,
}  # fmt: skip
SPEECH = {
    "model_type": "llama", "vocab_size": 512, "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4,
    "num_attention_heads": 6, "max_position_embeddings": 2048,
}  # fmt: skip
MARKS = ("<pad>", "<s>", "</s>", "<image>")  # of LLaVA, whose ids are their places here


def clip(folder: Path, **config: Any) -> Path:
    """`folder` with a CLIP; `config` makes it another than ViT-B/32."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    return _write(folder, (CLIPConfig(**config), CLIPModel, CLIPImageProcessor), CLIP_TOKENS)


def owlvit(folder: Path, **config: Any) -> Path:
    """`folder` with an OWL-ViT, which sees 768 x 768 pixels; `config` makes it another than B/32."""
    from transformers import OwlViTConfig, OwlViTForObjectDetection, OwlViTImageProcessor

    return _write(folder, (OwlViTConfig(**config), OwlViTForObjectDetection, OwlViTImageProcessor), OWL_TOKENS)


def llava(folder: Path, **config: Any) -> Path:
    """`folder` with a LLaVA of 3 million parameters that sees 336 x 336 pixels in 576 tokens, as LLaVA-1.5 does."""
    import torch
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaForConditionalGeneration

    torch.manual_seed(0)
    small: Any = LlavaConfig(**{"vision_config": EYES, "text_config": SPEECH, **config}, image_token_index=3)
    network: Any = LlavaForConditionalGeneration(small)
    network.generation_config.update(pad_token_id=0, bos_token_id=1, eos_token_id=2)
    network.save_pretrained(folder)
    side = small.vision_config.image_size
    CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side}).save_pretrained(folder)
    settings = {
        "processor_class": "LlavaProcessor",
        "patch_size": small.vision_config.patch_size,
        "num_additional_image_tokens": 1,  # the class token, which the strategy takes away again
        "vision_feature_select_strategy": "default",
    }
    (folder / "processor_config.json").write_text(json.dumps(settings))
    _bytes().save_pretrained(folder)
    return folder


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


def _bytes() -> Any:
    """Llama's byte-level kind without a merge: each byte is a token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate([*MARKS, *letters])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    pad, begin, end, image = MARKS
    fast: Any = PreTrainedTokenizerFast
    return fast(
        tokenizer_object=tokenizer, pad_token=pad, bos_token=begin, eos_token=end,
        extra_special_tokens={"image_token": image},
    )  # fmt: skip
