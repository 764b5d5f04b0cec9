"""The README is held to the code: the life of a request, the tree, the settings, the errors."""

import ast
import re
from pathlib import Path

import pytest

from shared import errors
from shared.cli.settings import tables

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    """The text under a heading, up to the next one of the same level."""
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert match, f"the README has no section {title!r}"
    return match[1]


def names_in(path: Path) -> set[str]:
    """Functions and methods of a module, as `function` and `Class.method`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            inner = [n.name for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
            found |= {f"{node.name}.{name}" for name in inner}
    return found


STEPS = re.findall(r"`((?:services|shared)/[\w/]+\.py):([\w.]+)`", section("Life of a request"))


def test_the_life_of_a_request_is_told_step_by_step() -> None:
    assert len(STEPS) >= 12


@pytest.mark.parametrize(("file", "name"), STEPS)
def test_every_step_of_the_life_of_a_request_exists(file: str, name: str) -> None:
    assert (ROOT / file).exists(), file
    assert name in names_in(ROOT / file)


def test_every_path_of_the_tree_exists_and_every_folder_is_in_it() -> None:
    tree = re.search(r"```\n(.*?)```", section("The house"), re.DOTALL)
    assert tree
    paths, stack = [], [ROOT]
    for line in tree[1].splitlines():
        match = re.match(r"( *)([\w.\-]+/?)", line)
        if not match:
            continue
        depth = len(match[1]) // 2
        stack = [*stack[: depth + 1], stack[depth] / match[2].rstrip("/")]
        paths.append(stack[-1])
    missing = [str(path.relative_to(ROOT)) for path in paths if not path.exists()]
    assert not missing
    for parent in ("services", "shared"):
        folders = {p for p in (ROOT / parent).iterdir() if p.is_dir() and (p / "__init__.py").exists()}
        assert folders <= set(paths), folders - set(paths)


def test_the_settings_are_those_of_the_code() -> None:
    assert tables() in README, "paste the output of `ocelli settings` between the markers"


def test_every_error_that_a_caller_may_see_is_in_the_table() -> None:
    table = section("Errors")
    kinds = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, errors.OcelliError)]
    for kind in kinds:
        assert re.search(rf"^\| {kind.status} \|.*`{kind.default_code}`", table, re.MULTILINE), kind


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", README)) <= targets
