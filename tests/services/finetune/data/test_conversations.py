"""Conversations about pictures: two forms, and each way in which a row can be broken."""

from pathlib import Path
from typing import Any

import pytest

from services.finetune.data import conversations
from services.finetune.data.examples import ChatExample, Source
from tests.services.finetune.data.pictures import lines, pictures, problems, put

ASK, ANSWER = {"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A cat.</s>"}


def llava(*turns: object, **changes: Any) -> dict[str, Any]:
    return {"id": "1", "image": "a.png", "conversations": list(turns or (ASK, ANSWER))} | changes


def messages(*turns: tuple[str, object], images: list[str] | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"messages": [{"role": role, "content": content} for role, content in turns]}
    return made | ({} if images is None else {"images": images})


def told(example: object) -> list[tuple[str, list[str]]]:
    """Each turn's role, and its parts, with the names of pictures."""
    assert isinstance(example, ChatExample)
    return [
        (turn.role, [part.path.name if isinstance(part, Source) else f"'{part}'" for part in turn.parts])
        for turn in example.turns
    ]


def test_llavas_form_is_read_and_marks_of_a_tokenizer_stay_text(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png")
    again = {"from": "human", "value": "And <image> here?"}
    rows = [
        llava(),
        llava({"from": "system", "value": "Be short."}, ASK, ANSWER, again, ANSWER, image=["a.png", "b.png"]),
    ]
    found = conversations.read(put(tmp_path / "chats.json", rows))
    assert not found.problems
    assert told(found.examples[0]) == [("user", ["a.png", "'What is this?'"]), ("assistant", ["'A cat.</s>'"])]
    assert told(found.examples[1])[0] == ("system", ["'Be short.'"])
    assert told(found.examples[1])[3] == ("user", ["'And'", "b.png", "'here?'"])


def test_messages_are_read_and_a_mark_in_a_part_of_text_stays_text(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png")
    parts = [{"type": "text", "text": "Is <image> a mark?"}, {"type": "image"}]
    rows = [
        messages(("user", parts), ("assistant", "No."), images=["a.png"]),
        messages(("user", "<image>What?"), ("assistant", [{"type": "text", "text": "A dog."}]), images=["b.png"]),
        messages(("user", "Hello."), ("assistant", "Hello.")),
    ]
    found = conversations.read(lines(tmp_path / "chats.jsonl", rows))
    assert not found.problems
    assert [told(example)[0] for example in found.examples] == [
        ("user", ["'Is <image> a mark?'", "a.png"]),
        ("user", ["b.png", "'What?'"]),
        ("user", ["'Hello.'"]),
    ]
    assert found.statistics["pictures_of_a_row"] == {"least": 0, "median": 1, "most": 1}


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"image": "a.png"}, "'conversations' or 'messages' is missing. Add it."),
        (llava(conversations={}), "'conversations' must be a list, not an object."),
        (llava(conversations=[]), "'conversations' does not end with an answer."),
        (llava(ASK), "does not end with an answer. End with gpt (assistant): that is what is learnt."),
        (llava(ASK, ASK, ANSWER, image=["a.png", "b.png"]), "has roles out of order. Let user and assistant alternate"),
        (llava(ANSWER, image=None), "has roles out of order."),
        (llava(ASK, ANSWER, {"from": "system", "value": "x"}, ANSWER), "has roles out of order."),
        (llava({"from": "bard", "value": "x"}, ANSWER), "'conversations[0]' is said by 'bard'. Write human, gpt or"),
        (llava({"value": "x"}, ANSWER), "'from' or 'role' is missing. Add it."),
        (llava("x", ANSWER), "'conversations[0]' must be an object, not a text."),
        (llava({"from": "human"}, ANSWER), "'value' or 'content' is missing. Add it."),
        (llava(ASK, {"from": "gpt", "value": " "}), "'conversations[1]' is empty. Write what is said"),
        (llava(ASK, {"from": "gpt", "value": "x" * 32_769}), "has 32,769 characters. Shorten it to 32,768."),
        (llava({"from": "human", "value": "What?"}, ANSWER), "has 1 pictures and 0 places for them. Mark each place"),
        (llava(image=None), "'conversations[0]' has a place for a picture that the row does not name."),
        (llava(ASK, {"from": "gpt", "value": "<image>"}, image=["a.png", "b.png"]), "shows a picture, and only a user"),
        (llava(image=7), "'image' must be a text, not a number."),
        (llava(image="z.png"), "the picture 'z.png' is not there."),
        (llava(image="../../a.png"), "leads out of the data set's folder."),
        (llava(), "has the same content as"),
        (messages(("user", [{"type": "video"}]), ("assistant", "x")), "'messages[0]' has a part of another type."),
        (messages(("user", [{"type": "text"}]), ("assistant", "x")), "'messages[0]' must be a text, not null."),
        (messages(("user", 3), ("assistant", "x")), "'messages[0]' must be a text or a list of parts, not a number."),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, broken: object, sentence: str) -> None:
    pictures(tmp_path, "a.png", "b.png")
    found = conversations.read(lines(tmp_path / "chats.jsonl", [llava(), broken]))
    ((at, what),) = problems(found)
    assert at == "line 2"
    assert sentence in what
    assert len(found.examples) == 1
