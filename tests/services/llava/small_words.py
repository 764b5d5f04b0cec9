"""Small tokenizers of the three kinds that Llamas have, trained here, with the files of a version; prompts as text."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers.pre_tokenizers import ByteLevel

from services.llava.chat import Picture
from services.llava.template import End, Piece, Quoted
from services.llava.words import Words

UNKNOWN, START, END, IMAGE, PAD = MARKS = ("<unk>", "<s>", "</s>", "<image>", "<pad>")
ROLES = "USER: ASSISTANT: "
CORPUS = [
    f"{ROLES}What is in the picture? A red circle is left of two small blue squares. {{}}[]:,\"'",
    f"{ROLES}How many circles are there? There are 3, and 0 to 9: 0123456789 of them.\n\nIt is what it is!",
    "The quick brown fox jumps over the lazy dog; THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG.\n<>/|_-+*=()%&#@$^~`\\",
]


def byte_level() -> Tokenizer:
    """GPT-2's kind, as the demo model has it: every byte is a token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=513, special_tokens=list(MARKS), initial_alphabet=sorted(ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return _opened(tokenizer)


def llama() -> Tokenizer:
    """Llama's and Vicuna's kind: SentencePiece told as a normaliser, bytes for what has no token."""
    vocabulary, merges = _learnt()
    names = [UNKNOWN, START, END, *(f"<0x{byte:02X}>" for byte in range(256)), *vocabulary]
    model = models.BPE(
        {name: id_ for id_, name in enumerate(names)}, merges, byte_fallback=True, unk_token=UNKNOWN, fuse_unk=True
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return _opened(tokenizer)


def metaspace() -> Tokenizer:
    """SentencePiece's newer form: a space before the first word of the whole text only, and no bytes."""
    vocabulary, merges = _learnt()
    names = [UNKNOWN, START, END, *vocabulary]
    tokenizer = Tokenizer(models.BPE({name: id_ for id_, name in enumerate(names)}, merges, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    return _opened(tokenizer)


KINDS: dict[str, Callable[[], Tokenizer]] = {"byte-level": byte_level, "llama": llama, "metaspace": metaspace}


def write(tokenizer: Tokenizer, folder: Path, **generation: Any) -> dict[str, Any]:
    """The tokenizer's files of a version; returns the fields of its config.json."""
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": START, "eos_token": {"content": END}, "pad_token": PAD, "unk_token": UNKNOWN}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if generation:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return {
        "image_token_index": tokenizer.token_to_id(IMAGE),
        "text_config": {"bos_token_id": tokenizer.token_to_id(START), "eos_token_id": tokenizer.token_to_id(END)},
    }


def read(tokenizer: Tokenizer, folder: Path) -> Words:
    """The words of a version with this tokenizer."""
    return Words.read(folder, write(tokenizer, folder))


def written(prompt: Sequence[Piece]) -> str:
    """The pieces as one text, with the marks by their names."""
    names = {Picture: IMAGE, End: END}
    return "".join(p if isinstance(p, str) else p.text if isinstance(p, Quoted) else names[type(p)] for p in prompt)


def _learnt() -> tuple[list[str], list[tuple[str, str]]]:
    """Tokens and merges over words that begin with `▁`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(CORPUS * 3, trainers.BpeTrainer(vocab_size=400, show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    return list(model["vocab"]), [(left, right) for left, right in model["merges"]]


def _opened(tokenizer: Tokenizer) -> Tokenizer:
    """With all marks, and `<s>` before a text."""
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False, special=True) for mark in MARKS])
    start = tokenizer.token_to_id(START)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A", special_tokens=[(START, start)])
    return tokenizer
