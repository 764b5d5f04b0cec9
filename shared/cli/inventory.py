"""What the store holds, for a person and for a program: one entry per version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.cli.table import size, table, when
from shared.serving.model import Identity
from shared.weights.digest import short
from shared.weights.manifest import Manifest
from shared.weights.store import Store

HEAD = ("MODEL", "VERSION", "ALIASES", "SIZE", "MADE (UTC)", "DIGEST")


@dataclass(frozen=True, slots=True)
class Entry:
    """A version, and the aliases that point at it."""

    identity: Identity
    manifest: Manifest
    aliases: tuple[str, ...]

    @classmethod
    def of(cls, store: Store, reference: str) -> "Entry":
        """The entry that a reference means. Raises `StoreError`."""
        identity = store.resolve(reference)
        pointers = store.aliases(identity.model)
        aliases = tuple(alias for alias, pointer in pointers.items() if pointer.version == identity.version)
        return cls(identity, store.manifest(identity.model, identity.version), aliases)

    def summary(self) -> dict[str, Any]:
        """The fields of `list --json`."""
        return {
            "model": self.identity.model,
            "version": self.identity.version,
            "digest": self.identity.digest,
            "aliases": list(self.aliases),
            "bytes": self.manifest.size,
            "made": self.manifest.made.at.isoformat(),
            "metrics": self.manifest.metrics,
            "description": self.manifest.description,
        }

    def full(self) -> dict[str, Any]:
        """The fields of `show --json`: the manifest, and what the store adds to it."""
        manifest = self.manifest.model_dump(mode="json", exclude_none=True)
        return manifest | {"digest": self.identity.digest, "aliases": list(self.aliases)}


def listing(entries: Sequence[Entry]) -> str:
    """One line per version."""
    rows = [
        (
            entry.identity.model,
            entry.identity.version,
            _names(entry.aliases),
            size(entry.manifest.size),
            when(entry.manifest.made.at),
            short(entry.identity.digest),
        )
        for entry in entries
    ]
    return table(HEAD, rows)


def description(entry: Entry) -> str:
    """All that is known of one version, in sections; what was not said is left out."""
    identity, manifest, made = entry.identity, entry.manifest, entry.manifest.made
    facts = {
        "model": identity.model,
        "version": identity.version,
        "digest": identity.digest,
        "aliases": _names(entry.aliases),
        "description": manifest.description,
        "base": manifest.base,
        "adapter": manifest.adapter,
        **_merge(manifest),
        "processor": manifest.processor,
        "data": manifest.data and manifest.data.description,
        "data sha256": manifest.data and manifest.data.sha256,
        "made by": made.by,
        "made at": f"{when(made.at)} UTC",
        "recipe": made.recipe,
        "command": made.command,
        "code": made.code,
    }
    files = [(path, size(file.bytes), f"sha256:{file.sha256}") for path, file in sorted(manifest.files.items())]
    sections = [
        _pairs({name: value for name, value in facts.items() if value}),
        _section("parameters", {name: str(value) for name, value in made.parameters.items()}),
        _section("metrics", {name: f"{value:.4g}" for name, value in manifest.metrics.items()}),
        table(("FILE", "SIZE", "DIGEST"), files),
    ]
    return "\n\n".join(section for section in sections if section)


def _merge(manifest: Manifest) -> dict[str, str]:
    """What an adapter is merged into, and what comes of it."""
    if manifest.merge is None:
        return {}
    parts = {"merged into": manifest.merge.base, "merged, it is": manifest.merge.result}
    return {name: f"{manifest.model}@{part.version} {part.digest}" for name, part in parts.items()}


def _names(aliases: Sequence[str]) -> str:
    return " ".join(aliases) or "-"


def _section(title: str, values: dict[str, str]) -> str:
    return f"{title.upper()}\n{_pairs(values)}" if values else ""


def _pairs(values: dict[str, str]) -> str:
    width = max(map(len, values))
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in values.items())
