"""Which format a folder is in, and the sentence where it is in none."""

from pathlib import Path

import pytest

from services.finetune.data.examples import ChatExample, DetectionExample, PairExample
from services.finetune.data.formats import read
from services.finetune.errors import DataError
from tests.services.finetune.data.pictures import coco_file, lines, pictures, png, put, tar

PAIR = {"image": "a.png", "text": "a cat"}
BOXES = {"file_name": "a.png", "objects": {"bbox": [], "categories": []}}
CHAT = {"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello."}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures(tmp_path, "a.png", "b.png")
    return tmp_path


def test_the_format_is_told_by_what_a_folder_holds(folder: Path) -> None:
    put(folder / "coco/annotations.json", coco_file())
    pictures(folder / "coco", "a.png", "b.png")
    pictures(folder / "classes", "cat/a.png")
    pictures(folder / "boxes", "a.png")
    lines(folder / "boxes/metadata.jsonl", [BOXES])
    tar(folder / "shards/0.tar", {"1.png": png("red"), "1.txt": b"a cat"})
    lines(folder / "pairs.jsonl", [PAIR])
    put(folder / "chats/chats.json", [CHAT])
    for name, task, kind in [
        ("coco", "detection", DetectionExample),
        ("boxes", "owlvit", DetectionExample),
        ("boxes/metadata.jsonl", "detection", DetectionExample),
        ("classes", "clip", PairExample),
        ("shards", "clip", PairExample),
        ("pairs.jsonl", "clip", PairExample),
        ("chats", "llava", ChatExample),
    ]:
        found = read(folder / name, task)
        assert not found.problems, name
        assert {type(example) for example in found.examples} == {kind}, name
    (told,) = read(folder / "classes", "clip", template="one {}").examples
    assert isinstance(told, PairExample)
    assert told.text == "one cat"


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ("detection", "holds neither annotations.json, _annotations.coco.json or instances_*.json (COCO) nor metadata"),
        ("owlvit", "holds neither annotations.json"),
        ("clip", "holds neither a file *.jsonl of pairs, nor shards *.tar, nor a folder for each class."),
        ("llava", "holds neither a file *.json nor *.jsonl of conversations."),
    ],
)
def test_a_folder_of_no_format_and_a_file_of_another_kind_are_refused(folder: Path, task: str, sentence: str) -> None:
    for source in (folder, folder / "a.png"):
        with pytest.raises(DataError) as refused:
            read(source, task)
        assert sentence in str(refused.value)
    with pytest.raises(DataError, match=r"there is no .*/nothing"):
        read(folder / "nothing", task)


def test_a_folder_of_two_formats_asks_for_a_choice(folder: Path) -> None:
    put(folder / "annotations.json", coco_file())
    lines(folder / "metadata.jsonl", [BOXES])
    with pytest.raises(DataError, match=r"holds a COCO file and metadata\.jsonl\. Name the file to read\."):
        read(folder, "detection")
