"""The tokenizer of the demo LLaVA and its chat template: Llama's byte-level kind with a vocabulary of its own.

    <pad> <s> </s> <image> · 256 bytes · merges

Every word of the dialogues is one token, in lower case or capitalised, at the start of a text or after a space; any
other text is spelt with bytes. The template is that of LLaVA-1.5 with Vicuna.
"""

import re
from collections.abc import Iterator

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

from services.finetune.demo import dialogues, facts, questions, words
from services.finetune.demo.scenes import COLOURS
from services.finetune.demo.shapes import SHAPES
from services.finetune.demo.tokenizer import SPARE

PAD, START, END, IMAGE = "<pad>", "<s>", "</s>", "<image>"
SPACE = "Ġ"  # how a byte-level vocabulary writes a space
LENGTH = 1024  # tokens of a conversation

# Pictures stand where the message has them. A user's words end with a space and an answer with </s>, as LLaVA learnt.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% set parts = [{'type': 'text', 'text': message.content}] if message.content is string else message.content %}"
    "{% if message.role != 'system' %}{{ message.role.upper() + ':' }}"
    "{{ ' ' if message.role == 'user' or parts else '' }}{% endif %}"
    "{% for part in parts %}"
    "{% if part.type == 'image' %}{{ '<image>\\n' }}"
    "{% elif message.role == 'assistant' %}{{ part.text + '</s>' }}"
    "{% else %}{{ part.text + ' ' }}{% endif %}"
    "{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def build() -> PreTrainedTokenizerFast:
    """The tokenizer; it puts `<s>` before a text, as Llama's does."""
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=_learnt(),
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        additional_special_tokens=[IMAGE],
        model_max_length=LENGTH,
        padding_side="left",
    )


def image_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """The id that stands for a patch of a picture."""
    return int(tokenizer.get_vocab()[IMAGE])


def stem(token: str) -> str:
    """What a word's tokens have in common: ` Circles`, `circles` and ` circle` are forms of one word."""
    word = token.removeprefix(SPACE).lower()
    return {words.plural(shape): shape for shape in (*SHAPES, "shape", "object")}.get(word, word)


def _learnt() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        min_frequency=1,
        special_tokens=[PAD, START, END, IMAGE],
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(_forms()), trainer)
    start = tokenizer.token_to_id(START)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", pair=f"{START} $A $B", special_tokens=[(START, start)]
    )
    return tokenizer


def _forms() -> set[str]:
    found = set(re.findall(r"[A-Za-z]+", " ".join(_texts())))
    cases = found | {word.lower() for word in found} | {word.capitalize() for word in found}
    return cases | {f" {word}" for word in cases}


def _texts() -> Iterator[str]:
    """Everything that a dialogue may say."""
    for form in questions.FORMS.values():
        yield from (*form.trained, *form.held_out, form.terse)
    yield from (*questions.WHICH, *questions.ORDINALS, "colour image USER ASSISTANT one both none neither")
    yield from (*COLOURS, *SHAPES, *map(words.plural, SHAPES), *words.NUMBERS, *words.SIZES, *SPARE)
    yield from (*facts.ROWS, *facts.COLUMNS, "shape shapes object objects at in the center a an there is no shows and")
    for answer, said in dialogues.SMALL_TALK.items():
        yield from (answer, *said)
    yield from (dialogues.NO_PICTURE, *dialogues.SYSTEMS, "third fourth photo pictures images")
