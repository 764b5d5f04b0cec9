"""The demo's data is sound, in a format that anyone may bring, and asks what it is for."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from services.finetune.data.examples import ChatExample, Dataset
from services.finetune.data.split import leakage
from services.finetune.llava import demo
from services.finetune.llava.scenes import NEW_WORDS
from services.finetune.llava.task import LlavaTask


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Dataset]:
    paths = demo.write(tmp_path_factory.mktemp("demo"), share=0.05)
    return {name: LlavaTask().read(path) for name, path in paths.items()}


def words(example: object) -> set[str]:
    assert isinstance(example, ChatExample)
    text = " ".join(part for turn in example.turns for part in turn.parts if isinstance(part, str))
    return {word.strip(".,?").lower() for word in text.split()}


def test_no_row_is_broken(data: Mapping[str, Dataset]) -> None:
    assert [problem for found in data.values() for problem in found.problems] == []
    assert [len(data[name].examples) for name in ("data", "validation", "replay", "old")] == [300, 15, 600, 15]


def test_every_question_of_the_validation_names_something_new(data: Mapping[str, Dataset]) -> None:
    assert all(words(example) & NEW_WORDS for example in data["validation"].examples)


def test_most_of_what_is_learnt_names_something_new(data: Mapping[str, Dataset]) -> None:
    named = sum(bool(words(example) & NEW_WORDS) for example in data["data"].examples)
    assert named / len(data["data"].examples) > demo.NEW


def test_nothing_new_is_in_what_the_base_knows(data: Mapping[str, Dataset]) -> None:
    assert not any(words(example) & NEW_WORDS for name in ("replay", "old") for example in data[name].examples)


def test_no_picture_is_on_both_sides(data: Mapping[str, Dataset]) -> None:
    assert [*leakage(data["data"].examples, data["validation"].examples)] == []


def test_the_same_folder_is_written_twice_alike(tmp_path: Path) -> None:
    first, second = (demo.write(tmp_path / name, share=0.01) for name in ("a", "b"))
    assert all(first[name].read_bytes() == second[name].read_bytes() for name in first)


def test_a_run_that_goes_on_finds_its_data_where_it_was(tmp_path: Path) -> None:
    paths = demo.write(tmp_path, share=0.01)
    paths["old"].unlink()  # as if it had been killed there
    told = paths["data"].stat().st_mtime_ns
    assert demo.write(tmp_path, share=0.01) == paths
    assert paths["data"].stat().st_mtime_ns == told
    assert paths["old"].exists()
