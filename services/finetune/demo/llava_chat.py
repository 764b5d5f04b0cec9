"""A LLaVA as anyone uses it: messages and pictures -> chat template -> processor -> greedy answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from PIL import Image
from transformers import LlavaForConditionalGeneration, LlavaProcessor

BATCH = 40  # chats
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chat:
    """Messages in Hugging Face's form, and the pictures that stand in them, in order."""

    messages: list[Message]
    pictures: list[Image.Image] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, its token ids with the end of the answer, and the smallest lead of a token over the second best."""

    text: str
    tokens: list[int]
    lead: float


def asked(question: str, *, pictures: int = 0, last: bool = False) -> Message:
    """A user's message; its pictures stand before the question, or after it."""
    shown = [{"type": "image"}] * pictures
    text = [{"type": "text", "text": question}]
    return {"role": "user", "content": text + shown if last else shown + text}


def said(answer: str) -> Message:
    """An answer of the model's, as a later turn repeats it."""
    return {"role": "assistant", "content": [{"type": "text", "text": answer}]}


def replies(model: LlavaForConditionalGeneration, processor: LlavaProcessor, chats: Sequence[Chat]) -> list[Reply]:
    """The greedy answer to each chat."""
    batches = [chats[start : start + BATCH] for start in range(0, len(chats), BATCH)]
    return [reply for batch in batches for reply in _batch(model, processor, batch)]


@torch.inference_mode()
def _batch(model: LlavaForConditionalGeneration, processor: LlavaProcessor, chats: Sequence[Chat]) -> list[Reply]:
    pictures = [picture for chat in chats for picture in chat.pictures]
    inputs = processor(
        images=pictures or None,
        text=[processor.apply_chat_template(chat.messages, add_generation_prompt=True) for chat in chats],
        padding=True,
        return_tensors="pt",
    )
    output = cast(Any, model).generate(**inputs, do_sample=False, return_dict_in_generate=True, output_logits=True)
    leads = torch.stack(output.logits).float().topk(2).values.diff(dim=-1).abs()[..., 0].T  # [chats, tokens]
    tokens = output.sequences[:, -leads.shape[1] :].tolist()
    end = processor.tokenizer.eos_token_id
    return [_reply(processor, row, lead, end) for row, lead in zip(tokens, leads.tolist(), strict=True)]


def _reply(processor: LlavaProcessor, tokens: list[int], leads: list[float], end: int) -> Reply:
    length = tokens.index(end) + 1 if end in tokens else len(tokens)
    text: str = processor.tokenizer.decode(tokens[:length], skip_special_tokens=True)
    return Reply(text.strip(), tokens[:length], min(leads[:length]))
