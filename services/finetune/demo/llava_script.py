"""Dialogues as token ids, piece by piece: together the pieces are what chat template and processor make of a chat.

    <s>USER: <image>\\n question ASSISTANT: answer</s>USER: question …

Only answers are learnt, with the `</s>` that ends them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerFast

from services.finetune.demo.dialogues import Turn
from services.finetune.demo.llava_tokenizer import image_id
from services.finetune.demo.pictures import PATCHES

IGNORED = -100  # label of a token that is not an answer


@dataclass(slots=True)
class Tokens:
    """Token ids, and for each its label: itself in an answer, `IGNORED` elsewhere."""

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    kind: str = ""  # of the question, for evaluations

    def add(self, ids: Sequence[int], *, learnt: bool = False) -> None:
        """Append `ids`, as part of an answer or not."""
        self.ids += ids
        self.labels += ids if learnt else [IGNORED] * len(ids)

    def join(self, other: "Tokens") -> None:
        """Append another one's."""
        self.ids += other.ids
        self.labels += other.labels


class Script:
    """Texts as token ids, piece by piece; the pieces of a chat together are what its template and processor make."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.start, self.end, self.pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
        self.image = image_id(tokenizer)
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def text(self, text: str) -> list[int]:
        """The ids of a text that holds no picture."""
        if text not in self._known:
            self._known[text] = self._tokenizer(text, add_special_tokens=False).input_ids
        return self._known[text]

    def pictures(self, count: int) -> list[int]:
        """` <image>\n<image>\n`, each with as many ids as the tower sees patches."""
        return self.text(" ") + count * ([self.image] * PATCHES + self.text("\n"))

    def opening(self, pictures: int, *, system: str = "") -> Tokens:
        """`<s>USER: <image>\n`, where the question follows."""
        tokens = Tokens()
        tokens.add([self.start, *self.text(f"{system} USER:" if system else "USER:")])
        if pictures:
            tokens.add(self.pictures(pictures))
        return tokens

    def turns(self, turns: Sequence[Turn], *, after_picture: bool = True) -> Tokens:
        """`question ASSISTANT: answer</s>USER: question …`, the first question after a picture or after `USER:`."""
        tokens = Tokens()
        for number, turn in enumerate(turns):
            if number:
                tokens.add(self.text("USER:"))
            bare = after_picture and not number
            tokens.add(self.text(turn.question if bare else f" {turn.question}") + self.text(" ASSISTANT:"))
            tokens.add([*self.text(f" {turn.answer}"), self.end], learnt=True)
        return tokens

    def replies(self, turns: Sequence[Turn]) -> Tokens:
        """`turns` without the first question, which stands before the picture: `ASSISTANT: answer</s>USER: …`."""
        first, *others = turns
        tokens = Tokens()
        tokens.add(self.text("ASSISTANT:"))
        tokens.add([*self.text(f" {first.answer}"), self.end], learnt=True)
        if others:
            tokens.add(self.text("USER:"))
            tokens.join(self.turns(others, after_picture=False))
        return tokens

    def probe(self, question: str, answer: str) -> Tokens:
        """A terse question and answer, without the roles."""
        tokens = Tokens()
        tokens.add(self.text(question))
        tokens.add(self.text(answer), learnt=True)
        return tokens
