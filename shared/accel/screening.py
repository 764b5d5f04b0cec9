"""Whether a directory of somebody else's asks for code to be run, told before any file of it is read as weights.

screen        every name below the directory: scripts, pickles, links that lead out, devices
read_settings a JSON file without the chat template, unless it names code
Hidden files and folders (version control, download caches) are neither looked at nor copied.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.accel.checkpoint import PICKLE
from shared.accel.pretrained import read_json
from shared.weights.errors import RefusedVersion

SCRIPTS = frozenset({".py", ".pyc", ".pyd", ".so", ".sh"})
PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz"})
CODE_KEYS = ("auto_map", "trust_remote_code")
TEMPLATE = "chat_template"  # a program in a template language; no model that is imported chats


def screen(source: Path) -> None:
    """Raise `RefusedVersion`, naming the file, if `source` holds what could run code or lies elsewhere."""
    root = source.resolve()
    for path in _visible(source):
        name = path.relative_to(source).as_posix()[:120]
        if path.is_symlink() and not _inside(path, root):
            raise RefusedVersion(
                f"{name} is a link that leads out of the directory, or nowhere. Import a copy with the links followed "
                "(cp -rL)."
            )
        if not path.is_dir() and not path.is_file():
            raise RefusedVersion(f"{name} is neither a file nor a folder. Take it out of the directory.")
        if path.suffix.lower() in SCRIPTS:
            raise RefusedVersion(
                f"{name} is code, and code of a checkpoint is never run. Take it out of the directory."
            )
        if path.suffix.lower() in PICKLES and name != PICKLE:
            raise RefusedVersion(
                f"{name} may be a pickle, which runs code when it is loaded. Take it out of the directory; weights are "
                f"read from safetensors, or from {PICKLE}."
            )


def read_settings(path: Path) -> dict[str, Any]:
    """A JSON object without its chat template. Raises `RefusedWeights` if there is none, or if it names code."""
    fields = read_json(path)
    for key in _keys(fields):
        if key in CODE_KEYS:
            raise RefusedVersion(f"{path.name} names code of its own ({key}), which is never run. Remove the entry.")
    fields.pop(TEMPLATE, None)
    return fields


def _visible(source: Path) -> Iterator[Path]:
    return (path for path in sorted(source.rglob("*")) if not _hidden(path.relative_to(source)))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _inside(link: Path, root: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # it leads nowhere, or in a circle
        return False


def _keys(content: Any) -> Iterator[str]:
    """The keys of all objects in a JSON document, however deep."""
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one
        if isinstance(one, dict | list):
            waiting += one.values() if isinstance(one, dict) else one
