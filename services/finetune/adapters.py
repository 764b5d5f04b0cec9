"""Adapters as versions of their own: what was learnt, held to the base by its digest; what serves is merged of both.

publish   peft's files, and those of the merged version but its weights -> <id>-adapter, which names base and result
merge     the adapter, and its very base of the store -> the weights anew -> the merged version, bit for bit

    models/clip/<id>-adapter/adapter_config.json, adapter_model.safetensors   as `peft` opens them
    models/clip/<id>-adapter/merged/…   the files of the merged version, its manifest included, but for its weights
"""

import shutil
import tempfile
from importlib import import_module
from pathlib import Path

from shared.serving.model import Identity
from shared.weights.errors import NotInStore, RefusedVersion
from shared.weights.manifest import MANIFEST, Card, Manifest, Merge, Pinned
from shared.weights.names import check_version
from shared.weights.store import Store, Version

SUFFIX = "-adapter"
FILES = ("adapter_config.json", "adapter_model.safetensors")
MERGED, WEIGHTS = "merged", "model.safetensors"
# Each is merge(base, adapter, folder): version directory, directory of peft's files -> writes the weights into folder.
MERGES = {
    "detection": "services.finetune.detection.version:merge",
    "clip": "services.finetune.clip.adapter:merge",
    "owlvit": "services.finetune.owlvit.adapter:merge",
    "llava": "services.finetune.llava.adapter:merge",
}


def adapter_id(version: str) -> str:
    """The id of the adapter of a version. Raises `BadName` where it would be too long."""
    return check_version(f"{version}{SUFFIX}")


def publish(store: Store, task: str, *, base: Version, adapter: Path, merged: Version) -> Identity:
    """Publish the directory `adapter`, as peft wrote it, beside the version that was merged of it and of `base`.

    Raises `VersionExists` and `RefusedVersion`.
    """
    manifest = merged.manifest
    merge = Merge(task=task, base=_pinned(base), result=_pinned(merged))
    card = Card(**manifest.model_dump(include=set(Card.model_fields))).model_copy(
        update={
            "version": adapter_id(manifest.version),
            "description": f"The adapter of {manifest.model}@{manifest.version}: {manifest.description}"[:4000],
            "adapter": "peft",
            "merge": merge,
        }
    )
    with tempfile.TemporaryDirectory(prefix="ocelli-adapter-") as name:
        folder = Path(name)
        for file in FILES:
            shutil.copyfile(adapter / file, folder / file)
        for file in (*manifest.files, MANIFEST):
            if file != WEIGHTS:
                _copy(merged.path / file, folder / MERGED / file)
        return store.publish(folder, card)


def merge(store: Store, model: str, version: str, *, cache: Path, name: str | None = None) -> Identity:
    """Make the version anew that the adapter `model@version` was merged into; what is in the store already is no work.

    Under another `name` it may differ in the last bits, as on another kind of CPU. Raises `RefusedVersion` for what is
    no adapter, for a base that is not the one that it was taught on, and for weights that differ from the job's.
    """
    adapter = store.fetch(f"{model}@{version}", cache)
    terms = adapter.manifest.merge
    if terms is None:
        raise RefusedVersion(f"{model}@{version} is no adapter: it has weights of its own, and serves as it is.")
    if name is None and _holds(store, model, terms.result):
        return Identity(model, terms.result.version, terms.result.digest)
    base = _base(store, model, terms.base, cache)
    with tempfile.TemporaryDirectory(prefix="ocelli-merge-") as folder:
        made = _made(adapter.path, base.path, terms.task, Path(folder))
        data = (made / MANIFEST).read_bytes()
        manifest = Manifest.parse(data)
        if name is None:
            return _adopt(store, Version(model, terms.result.version, terms.result.digest, made, manifest))
        (made / MANIFEST).unlink()
        card = Card(**manifest.model_dump(include=set(Card.model_fields)))
        return store.publish(made, card.model_copy(update={"version": check_version(name)}))


def _holds(store: Store, model: str, wanted: Pinned) -> bool:
    try:
        return store.resolve(f"{model}@{wanted.version}").digest == wanted.digest
    except NotInStore:
        return False


def _base(store: Store, model: str, wanted: Pinned, cache: Path) -> Version:
    found = store.fetch(f"{model}@{wanted.version}", cache)
    if found.digest != wanted.digest:
        raise RefusedVersion(
            f"The adapter was taught on {model}@{wanted.version} {wanted.digest}, and in {store.url} that is "
            f"{found.digest}: the sum would be another model. Bring the base into this store."
        )
    return found


def _made(adapter: Path, base: Path, task: str, folder: Path) -> Path:
    """The files of the merged version."""
    made, weights = folder / "version", folder / "weights"
    shutil.copytree(adapter / MERGED, made)
    module, function = MERGES[task].split(":")
    getattr(import_module(module), function)(base, adapter, weights)
    shutil.move(weights / WEIGHTS, made / WEIGHTS)
    return made


def _adopt(store: Store, made: Version) -> Identity:
    try:
        return store.adopt(made)
    except RefusedVersion as error:
        raise RefusedVersion(
            f"{error} Another kind of CPU, or another torch, may add in another order. To publish what came out as a "
            "version of its own, name it: --version ID."
        ) from error


def _pinned(version: Version) -> Pinned:
    return Pinned(version=version.version, digest=version.digest)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
