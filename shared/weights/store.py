"""The weights store: immutable versions, each with its manifest, and the aliases that point at them.

    models/<model>/<version>/…             files, and manifest.json, which begins to exist last
    aliases/<model>/<alias>/<number>.json  the moves of an alias; the highest number counts

publish -> survey the source -> place files and manifest in one step -> move_alias
fetch   -> resolve the reference -> bring the files here, unless they are -> verify every byte -> Version
"""

from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

from shared import logs
from shared.serving.model import Identity
from shared.weights.aliases import Aliases, Pointer
from shared.weights.cache import Cache
from shared.weights.digest import digest
from shared.weights.errors import NotInStore, RefusedVersion, StoreAway, VersionExists
from shared.weights.manifest import MANIFEST, MANIFEST_BYTES, Card, Manifest
from shared.weights.names import ALIASES, NAME, check, parse
from shared.weights.opening import open_storage
from shared.weights.verify import survey, verify

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """A verified version in a local directory, ready to be read."""

    model: str
    version: str
    digest: str
    path: Path
    manifest: Manifest

    @property
    def identity(self) -> Identity:
        """The name, id and digest, as answers carry them."""
        return Identity(self.model, self.version, self.digest)


class Store:
    """A weights store at a URL (`file://`, `s3://`, whatever fsspec opens) or a local path."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._storage = open_storage(url)
        self._aliases = Aliases(self._storage)

    @property
    def local(self) -> bool:
        """Whether versions are read in place, without a cache."""
        return self._storage.directory("") is not None

    def grants_once(self) -> bool:
        """Whether a name that is taken is refused there; without that, two who push may overwrite each other."""
        return self._storage.grants_once()

    def models(self) -> list[str]:
        """The models that have a version."""
        return [model for model in self._storage.names("models") if NAME.fullmatch(model) and self.versions(model)]

    def versions(self, model: str) -> list[str]:
        """The version ids of a model, sorted by name; what has no manifest is not a version."""
        folder = f"models/{check(model, 'model')}"
        names = (name for name in self._storage.names(folder) if NAME.fullmatch(name))
        return [name for name in names if self._storage.exists(f"{folder}/{name}/{MANIFEST}")]

    def manifest(self, model: str, version: str) -> Manifest:
        """What was published as this version. Raises `NotInStore` and `RefusedVersion`."""
        return self._read(model, version)[0]

    def resolve(self, reference: str) -> Identity:
        """The version that `model[@alias|@id|@sha256:prefix]` means now. Raises `BadName`, `NotInStore`."""
        model, selector = parse(reference)
        if selector.startswith("sha256:"):
            return self._by_digest(model, selector)
        if selector not in ALIASES:
            return Identity(model, selector, self._digest(model, selector))
        pointer = self.aliases(model).get(selector)
        if pointer is None:
            raise NotInStore(f"{model}@{selector} points nowhere in {self.url}; {self._known(model)}.")
        if self._digest(model, pointer.version) != pointer.digest:
            raise RefusedVersion(f"{model}@{pointer.version} is not what {selector} was set on: its manifest changed.")
        return Identity(model, pointer.version, pointer.digest)

    def fetch(self, reference: str, cache: Path) -> Version:
        """The verified version that a reference means: in place in a local store, else copied into `cache`.

        Raises `RefusedVersion` unless every file is, byte for byte, what the manifest says.
        """
        model, version, expected = astuple(self.resolve(reference))
        manifest, data = self._read(model, version)
        if digest(data) != expected:
            raise RefusedVersion(f"{model}@{version} changed while it was read.")
        path = self._storage.directory(_folder(model, version))
        if path is None:
            path = Cache(cache).bring(self._storage, _folder(model, version), manifest, data)
        else:
            verify(path, manifest)
        return Version(model, version, expected, path, manifest)

    def begin(self, reference: str, cache: Path) -> Version:
        """As `fetch`; while the store is away, what `reference` meant here when it was begun with last.

        Raises `StoreAway` where nothing is known of that, or the copy is gone.
        """
        kept, key = Cache(cache), f"{self.url} {reference}"
        try:
            version = self.fetch(reference, cache)
        except StoreAway as away:
            found = kept.recall(key)
            if found is None:
                raise
            path, manifest = found
            log.warning("store_away", model=manifest.model, weights=manifest.version, reason=str(away))
            return Version(manifest.model, manifest.version, digest((path / MANIFEST).read_bytes()), path, manifest)
        if not self.local:
            kept.remember(key, version.digest)
        return version

    def publish(self, source: Path, card: Card) -> Identity:
        """Publish the files of a local directory as `card.model@card.version`, which nobody can change afterwards.

        Raises `RefusedVersion` for files that no version may hold, and `VersionExists` if the id is taken.
        """
        manifest = Manifest.of(card, survey(source))
        return self._place(source, manifest, manifest.encode())

    def adopt(self, version: Version) -> Identity:
        """Publish a version of another store here, byte for byte, so that its digest stays what it was."""
        data = (version.path / MANIFEST).read_bytes()
        if digest(data) != version.digest:
            raise RefusedVersion(f"{version.model}@{version.version} changed while it was read.")
        return self._place(version.path, version.manifest, data)

    def aliases(self, model: str) -> dict[str, Pointer]:
        """Where the aliases of a model point: champion, candidate, kept, and previous, which champion left last."""
        return self._aliases.current(check(model, "model"))

    def pointer(self, model: str, alias: str) -> Pointer | None:
        """Where champion, candidate or kept points now, cheaply; None where it was never set, or is retired."""
        return self._aliases.pointer(model, alias)

    def history(self, model: str, alias: str) -> list[Pointer]:
        """Every move of champion, candidate or kept, oldest first."""
        return self._aliases.history(model, alias)

    def move_alias(
        self, model: str, alias: str, version: str, *, expected: str | None, by: str = "operator"
    ) -> Pointer:
        """Let champion, candidate or kept point at `version` if it points at `expected` (None: nowhere).

        Raises `AliasMoved` when it points elsewhere by now, and `NotInStore` for an unknown version.
        """
        pointer = Pointer(version=version, digest=self._digest(model, version), by=by, at=_now())
        self._aliases.move(model, alias, pointer, expected=expected)
        return pointer

    def retire_alias(self, model: str, alias: str, *, expected: Pointer, by: str = "operator") -> None:
        """Let `alias` point nowhere, if it points where `expected` does. Raises `AliasMoved` when it does not."""
        end = expected.model_copy(update={"by": by, "at": _now(), "retired": True})
        self._aliases.move(model, alias, end, expected=expected.version)

    def _place(self, source: Path, manifest: Manifest, data: bytes) -> Identity:
        model, version = manifest.model, manifest.version
        try:
            self._storage.place(_folder(model, version), source, manifest, data)
        except FileExistsError as error:
            raise VersionExists(f"{model}@{version} exists in {self.url}; versions never change.") from error
        return Identity(model, version, digest(data))

    def _read(self, model: str, version: str) -> tuple[Manifest, bytes]:
        folder = _folder(model, version)
        try:
            data = self._storage.read(f"{folder}/{MANIFEST}", MANIFEST_BYTES)
        except FileNotFoundError as error:
            raise NotInStore(f"There is no {model}@{version} in {self.url}; {self._known(model)}.") from error
        manifest = Manifest.parse(data)
        if (manifest.model, manifest.version) != (model, version):
            raise RefusedVersion(f"{folder} holds the manifest of {manifest.model}@{manifest.version}.")
        return manifest, data

    def _digest(self, model: str, version: str) -> str:
        return digest(self._read(model, version)[1])

    def _by_digest(self, model: str, prefix: str) -> Identity:
        identities = [Identity(model, version, self._digest(model, version)) for version in self.versions(model)]
        found = [identity for identity in identities if identity.digest.startswith(prefix)]
        if len(found) != 1:
            raise NotInStore(f"{prefix} fits {len(found)} versions of {model} in {self.url}; {self._known(model)}.")
        return found[0]

    def _known(self, model: str) -> str:
        versions = self.versions(model)
        if versions:
            return f"it has {', '.join(versions[:10])}"
        return f"it holds no version of {model}; its models are {', '.join(self.models()[:10]) or 'none'}"


def _folder(model: str, version: str) -> str:
    return f"models/{check(model, 'model')}/{check(version, 'version')}"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
