"""Splits and hashes: what they depend on, and what they do not."""

import io
import random
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.finetune.data import imagefolder, pairs
from services.finetune.data.content import content, dataset_sha256
from services.finetune.data.examples import (
    ChatExample,
    DetectionExample,
    Example,
    Look,
    PairExample,
    Place,
    Source,
    Turn,
)
from services.finetune.data.split import leakage, split
from services.finetune.demo import render
from services.finetune.demo.scenes import World, scenes
from tests.services.finetune.data.pictures import lines, pictures, put


def picture(number: int, folder: str = "here") -> Source:
    """A picture that is told by its hash alone."""
    return Source(Path(folder, f"{number}.png"), look=Look((9, 9), f"{number:064}", number.to_bytes(2) * 96))


def boxed(number: int, labels: tuple[str, ...], folder: str = "here") -> DetectionExample:
    boxes = tuple((0.0, 0.0, 1.0 + i, 1.0) for i in range(len(labels)))
    return DetectionExample(picture(number, folder), (9, 9), boxes, labels, None, Place(Path(folder), f"[{number}]"))


def chat(numbers: list[int], place: int) -> ChatExample:
    return ChatExample(
        (Turn("user", (*map(picture, numbers), "?")), Turn("assistant", ("!",))), Place(Path(), f"{place}")
    )


LABELS = st.lists(st.sampled_from(["cat", "dog", "emu"]), max_size=3).map(tuple)
ROWS = st.lists(LABELS, max_size=40)
SHARE = st.floats(0.01, 0.99)


@given(ROWS, SHARE, st.integers(0, 9))
def test_every_row_is_on_one_side_and_the_share_is_kept(rows: list[tuple[str, ...]], share: float, seed: int) -> None:
    examples = [boxed(number, labels) for number, labels in enumerate(rows)]
    train, validation = split(examples, share=share, seed=seed)
    assert sorted(map(str, [*train, *validation])) == sorted(map(str, examples))
    if len(rows) > 1:
        assert train
        assert validation
        assert abs(len(validation) - share * len(rows)) <= 1


@given(ROWS, SHARE, st.randoms())
def test_neither_the_order_nor_the_folder_changes_split_and_hash(
    rows: list[tuple[str, ...]], share: float, shuffler: random.Random
) -> None:
    here = [boxed(number, labels) for number, labels in enumerate(rows)]
    there = [boxed(number, labels, "there") for number, labels in enumerate(rows)]
    shuffler.shuffle(there)
    assert dataset_sha256(here) == dataset_sha256(there)
    kept, kept_there = (split(one, share=share, seed=1)[1] for one in (here, there))
    assert {example.place.at for example in kept} == {example.place.at for example in kept_there}


@given(st.lists(st.lists(st.integers(0, 12), max_size=3), max_size=30), SHARE)
def test_a_picture_is_never_on_both_sides(rows: list[list[int]], share: float) -> None:
    train, validation = split([chat(numbers, i) for i, numbers in enumerate(rows)], share=share, seed=3)
    assert not [leak for leak in leakage(train, validation) if leak.same]


def test_classes_keep_their_shares_and_the_seed_chooses() -> None:
    examples = [boxed(i, ("rare",) if i % 10 == 0 else ("often", "often")) for i in range(200)]
    chosen = [split(examples, share=0.1, seed=seed)[1] for seed in (1, 2)]
    for validation in chosen:
        assert Counter(example.labels[0] for example in validation if isinstance(example, DetectionExample)) == {
            "rare": 2,
            "often": 18,
        }
    assert chosen[0] != chosen[1]
    assert split(examples, share=0, seed=1) == (tuple(examples), ())


def test_the_hash_changes_with_each_word_box_and_byte() -> None:
    def pair(number: int, text: str, label: str | None = None) -> PairExample:
        return PairExample(picture(number), text, label, Place(Path()))

    different: list[Example] = [
        boxed(1, ("cat",)),
        boxed(1, ("dog",)),
        boxed(2, ("cat",)),
        boxed(1, ("cat", "cat")),
        pair(1, "cat"),
        pair(2, "cat"),
        pair(1, "dog"),
        pair(1, "cat", "cat"),
        chat([1], 0),
        chat([1, 2], 0),
        chat([2, 1], 0),
    ]
    assert len({content(example) for example in different}) == len(different)


def test_the_order_of_boxes_is_no_part_of_the_hash() -> None:
    one = boxed(1, ("cat", "dog"))
    other = DetectionExample(one.picture, one.size, one.boxes[::-1], one.labels[::-1], None, one.place)
    assert content(one) == content(other)


def test_a_folder_that_moved_with_files_renamed_has_the_same_hash(tmp_path: Path) -> None:
    pictures(tmp_path / "one", "cat/1.png", "dog/2.png")
    for source, copy in (("cat/1.png", "cat/z.png"), ("dog/2.png", "dog/a.png")):
        put(tmp_path / "two" / copy, (tmp_path / "one" / source).read_bytes())
    first, second = (imagefolder.read_classes(tmp_path / name).sha256 for name in ("one", "two"))
    assert first == second
    put(tmp_path / "two/dog/b.png", (tmp_path / "one/cat/1.png").read_bytes() + b"\n")
    assert imagefolder.read_classes(tmp_path / "two").sha256 != first


def test_a_picture_that_is_scaled_and_saved_as_jpeg_is_nearly_the_same(tmp_path: Path) -> None:
    for number, scene in enumerate(scenes(World(), seed=4, count=12)):
        drawn = Image.fromarray(render.picture(scene, 96))
        drawn.save(tmp_path / f"{number}.png")
        file = io.BytesIO()
        drawn.resize((80, 80)).save(file, "JPEG", quality=70)
        put(tmp_path / f"{number}.jpg", file.getvalue())
    train = pairs.read(lines(tmp_path / "a.jsonl", [{"image": f"{i}.png", "text": "a"} for i in range(10)]))
    copies = [{"image": f"{i}.jpg", "text": "a"} for i in range(2, 12)]
    validation = pairs.read(lines(tmp_path / "b.jsonl", [*copies, {"image": "7.png", "text": "b"}]))
    leaks = leakage(train.examples, validation.examples)
    assert [(leak.train.at, leak.validation.at) for leak in leaks[:-1]] == [
        (f"line {i + 1}", f"line {i - 1}") for i in range(2, 10)
    ]
    assert str(leaks[-1]) == f"{tmp_path}/b.jsonl: line 11 shows the same picture as {tmp_path}/a.jsonl: line 8"
