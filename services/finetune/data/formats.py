"""Which format a file or folder is in, by what it holds, for each kind of task.

boxes   COCO, ImageFolder with metadata.jsonl           detection, owlvit
pairs   JSON Lines, WebDataset, a folder for each class     clip
chats   LLaVA's JSON, messages as JSON Lines                llava
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from services.finetune.data import coco, conversations, imagefolder, pairs, webdataset
from services.finetune.data.examples import Dataset
from services.finetune.data.imagefolder import TEMPLATE
from services.finetune.errors import DataError

TASKS = ("detection", "clip", "owlvit", "llava")

Reader = Callable[[Path], Dataset]
Finder = Callable[[Path], Mapping[str, Reader]]


def read(source: Path, task: str, *, template: str = TEMPLATE) -> Dataset:
    """Read `source` in whichever format of `task` it is; folders of classes are told by `template`.

    Raises `DataError` where it is of no format, or of several.
    """
    if not source.exists():
        raise DataError(f"there is no {source}. Name a folder or a file.")
    finders: dict[str, Finder] = {"clip": partial(_pairs, template=template), "llava": _chats}
    found = finders.get(task, _boxes)(source)
    if len(found) > 1:
        raise DataError(f"{source} holds {' and '.join(found)}. Name the file to read.")
    if not found:
        raise DataError(f"{source} {_MISSING.get(task, _MISSING['detection'])}")
    (reader,) = found.values()
    return reader(source)


def _boxes(source: Path) -> Mapping[str, Reader]:
    if source.is_file():
        by_suffix: dict[str, Reader] = {".json": coco.read, ".jsonl": imagefolder.read}
        return _of_suffix(source, by_suffix)
    found: dict[str, Reader] = {}
    if coco.find(source):
        found["a COCO file"] = coco.read
    if (source / imagefolder.METADATA).exists():
        found[imagefolder.METADATA] = imagefolder.read
    return found


def _pairs(source: Path, template: str) -> Mapping[str, Reader]:
    if source.is_file():
        return _of_suffix(source, {".jsonl": pairs.read, ".json": pairs.read, ".tar": webdataset.read})
    found: dict[str, Reader] = {}
    if pairs.find(source):
        found["files *.jsonl"] = pairs.read
    if webdataset.find(source):
        found["files *.tar"] = webdataset.read
    if not found and imagefolder.class_folders(source):
        found["folders of classes"] = partial(imagefolder.read_classes, template=template)
    return found


def _chats(source: Path) -> Mapping[str, Reader]:
    if source.is_file():
        return _of_suffix(source, {".json": conversations.read, ".jsonl": conversations.read})
    return {"files *.json or *.jsonl": conversations.read} if conversations.find(source) else {}


def _of_suffix(source: Path, readers: Mapping[str, Reader]) -> Mapping[str, Reader]:
    reader = readers.get(source.suffix.lower())
    return {source.suffix: reader} if reader else {}


_BOXES = "holds neither annotations.json, _annotations.coco.json or instances_*.json (COCO) nor metadata.jsonl."
_MISSING = {
    "detection": _BOXES,
    "owlvit": _BOXES,
    "clip": "holds neither a file *.jsonl of pairs, nor shards *.tar, nor a folder for each class.",
    "llava": "holds neither a file *.json nor *.jsonl of conversations.",
}
