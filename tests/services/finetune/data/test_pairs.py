"""Pairs of a picture and a text, as JSON Lines and in tar files."""

import io
import tarfile
from pathlib import Path

import pytest

from services.clip.schemas import MAX_TEXT
from services.finetune.data import fields, pairs, webdataset
from services.finetune.data.examples import PairExample
from services.owlvit.labels import LONGEST
from tests.services.finetune.data.pictures import lines, pictures, png, problems, tar

CAT = png("red")


def test_texts_and_labels_are_as_long_as_the_services_take() -> None:
    assert (fields.MAX_TEXT, fields.MAX_LABEL) == (MAX_TEXT, LONGEST)


def test_both_names_of_the_fields_are_read_and_a_picture_may_have_several_texts(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "in/b.png")
    rows = [
        {"image": "a.png", "text": "a cat"},
        {"file_name": "in/b.png", "caption": "a dog", "label": "dog"},
        {"image": "a.png", "text": "a black cat"},
    ]
    lines(tmp_path / "pairs.jsonl", rows)
    found = pairs.read(tmp_path)
    assert not found.problems
    told = [(pair.text, pair.label) for pair in found.examples if isinstance(pair, PairExample)]
    assert told == [("a cat", None), ("a dog", "dog"), ("a black cat", None)]
    assert (found.statistics["rows"], found.statistics["pictures"]) == (3, 2)


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"image": "a.png"}, "'text' or 'caption' is missing. Add it."),
        ({"text": "a cat"}, "'image' or 'file_name' is missing. Add it."),
        ({"image": "a.png", "text": "\n "}, "'text' is empty. Write a text, or remove the row."),
        ({"image": "a.png", "text": "x" * 4097}, "'text' has 4,097 characters. Shorten it to 4,096."),
        ({"image": "a.png", "text": ["a"]}, "'text' must be a text, not a list. Change its type."),
        ({"image": "a.png", "text": "a", "label": True}, "'label' must be a text, not true or false."),
        ({"image": "../a.png", "text": "a"}, "the path '../a.png' leads out of the data set's folder."),
        ({"image": "data:image/png;base64,AAAA", "text": "a"}, "the picture is an address."),
        ({"image": "a.png", "text": "good"}, "has the same content as"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, broken: object, sentence: str) -> None:
    pictures(tmp_path, "a.png")
    found = pairs.read(lines(tmp_path / "pairs.jsonl", [{"image": "a.png", "text": "good"}, broken]))
    ((at, what),) = problems(found)
    assert at == "line 2"
    assert sentence in what
    assert len(found.examples) == 1


def test_shards_are_read_in_place(tmp_path: Path) -> None:
    tar(tmp_path / "00.tar", {"000001.png": CAT, "000001.txt": b"a cat\n", "000001.cls": b"3"})
    tar(tmp_path / "01.tar", {"in/2.json": b'{"caption": "a dog"}', "in/2.png": png("blue"), "in/2.txt.bak": b""})
    found = webdataset.read(tmp_path)
    assert not found.problems
    first, second = found.examples
    assert isinstance(first, PairExample)
    assert isinstance(second, PairExample)
    assert (first.text, second.text) == ("a cat", "a dog")
    assert (first.picture.read(), second.picture.read()) == (CAT, png("blue"))
    assert str(first.place) == f"{tmp_path}/00.tar: 000001"


@pytest.mark.parametrize(
    ("members", "at", "sentence"),
    [
        ({"1.txt": b"a"}, "1", "has no pictures. Pack one"),
        ({"1.png": CAT}, "1", "has no text. Pack a .txt, or a .json with 'text', beside the picture."),
        ({"1.png": CAT, "1.jpg": CAT, "1.txt": b"a"}, "1", "has 2 pictures. Pack one"),
        ({"1.png": CAT, "1.txt": b" "}, "1", "'text' is empty."),
        ({"1.png": CAT, "1.txt": b"\xff"}, "1", "the .txt file is not UTF-8."),
        ({"1.png": CAT, "1.txt": b"x" * 1_000_001}, "1", "the .txt file has 1,000,001 bytes."),
        ({"1.png": CAT, "1.json": b"{"}, "1", "the .json file is not JSON."),
        ({"1.png": CAT, "1.json": b"[]"}, "1", "'.json' must be an object with 'text', not a list."),
        ({"1.png": CAT, "1.json": b"{}"}, "1", "'text' or 'caption' is missing."),
        ({"1.png": b"words", "1.txt": b"a"}, "1", "the picture '1.png' cannot be used"),
        ({"../1.png": CAT, "../1.txt": b"a"}, "../1.png", "is a path that leads out of the tar file."),
        ({"/1.png": CAT}, "/1.png", "is a path that leads out of the tar file."),
    ],
)
def test_a_broken_sample_is_named(tmp_path: Path, members: dict[str, bytes], at: str, sentence: str) -> None:
    found = webdataset.read(tar(tmp_path / "00.tar", {"0.png": png("blue"), "0.txt": b"good", **members}))
    assert any(where == at and sentence in what for where, what in problems(found)), problems(found)
    assert len(found.examples) == 1


def test_a_link_in_a_tar_file_and_a_name_that_comes_twice_are_refused(tmp_path: Path) -> None:
    shard = tmp_path / "00.tar"
    with tarfile.open(shard, "w") as file:
        link = tarfile.TarInfo("1.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
        for _ in range(2):
            twice = tarfile.TarInfo("2.txt")
            twice.size = 1
            file.addfile(twice, io.BytesIO(b"a"))
    assert problems(webdataset.read(shard)) == [
        ("1.png", "is a link or a device. Pack the file itself."),
        ("2.txt", "is in the tar file twice. Give each sample its own name."),
    ]


@pytest.mark.parametrize("cut", [0, 100, 700, 2_000])
def test_a_shard_that_is_cut_off_or_no_tar_file_is_a_problem(tmp_path: Path, cut: int) -> None:
    shard = tar(tmp_path / "00.tar", {"1.png": CAT, "1.txt": b"a", "2.png": png("blue"), "2.txt": b"b"})
    shard.write_bytes(shard.read_bytes()[:cut])
    assert any("Make it again" in what for _, what in problems(webdataset.read(shard)))
