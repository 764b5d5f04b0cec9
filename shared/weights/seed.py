"""A local store begins with the shipped models, and follows the releases until the operator decides otherwise.

Every shipped version is added, byte for byte. Champion moves to the shipped champion if both hold:
    nobody but a release has moved it last      an alias that the operator set is the operator's
    it never pointed at that version before     an older release, started again, takes nothing back
"""

import contextlib
from pathlib import Path

import shared
from shared.weights.errors import AliasMoved, VersionExists
from shared.weights.store import Store

RELEASE = "release"


def shipped() -> Path:
    """The folder of the demo weights that come with this release, itself in the layout of a store."""
    return Path(shared.__file__).resolve().parent.parent / "models"


def open_store(url: str | None, state: Path) -> Store:
    """The store at `url`, or where none is named that of the local `state`, kept in step with the shipped models."""
    if url:
        return Store(url)
    store = Store(str(state / "store"))
    seed(shipped(), store)
    return store


def seed(source: Path, store: Store) -> None:
    """Bring what the store at `source` ships into `store`; many processes may do so at once, at every start."""
    release = Store(str(source))
    for model in release.models():
        held = set(store.versions(model))
        for version in release.versions(model):
            if version not in held:
                with contextlib.suppress(VersionExists):
                    store.adopt(release.fetch(f"{model}@{version}", source))
        _follow(release, store, model)


def _follow(release: Store, store: Store, model: str) -> None:
    champion = release.aliases(model).get("champion")
    history = store.history(model, "champion")
    if champion is None or any(pointer.digest == champion.digest for pointer in history):
        return
    if history and history[-1].by != RELEASE:
        return
    with contextlib.suppress(AliasMoved):
        expected = history[-1].version if history else None
        store.move_alias(model, "champion", champion.version, expected=expected, by=RELEASE)
