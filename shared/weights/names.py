"""Names of models, versions and aliases, checked before any path is made of them.

clip                    the champion of clip
clip@champion           where an alias points (champion, candidate, previous, kept)
clip@shapes-1           the version of that id
clip@sha256:3fa9c1      the one version whose digest begins so
"""

import re
from typing import NamedTuple

from shared.weights.errors import BadName

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
PREFIX = re.compile(r"sha256:[0-9a-f]{6,64}")
MOVABLE = ("champion", "candidate", "kept")
ALIASES = (*MOVABLE, "previous")


class Reference(NamedTuple):
    """A model, and the alias, version id or digest prefix that selects one of its versions."""

    model: str
    selector: str


def parse(reference: str) -> Reference:
    """Split `model[@selector]`; the selector is `champion` unless given. Raises `BadName`."""
    model, separator, selector = reference.partition("@")
    if not separator:
        selector = "champion"
    if not PREFIX.fullmatch(selector):
        check(selector, "version or alias")
    return Reference(check(model, "model"), selector)


def check(name: str, what: str) -> str:
    """Return `name` if it can be a path segment of the store, whatever the file system. Raises `BadName`."""
    if not NAME.fullmatch(name):
        raise BadName(
            f"{name[:80]!r} cannot name a {what}: use 1 to 64 of a-z 0-9 . _ - and begin with a letter or digit."
        )
    return name


def check_version(version: str) -> str:
    """Return `version` if it can be the id of a new version: a name, and not that of an alias. Raises `BadName`."""
    if version in ALIASES:
        raise BadName(f"{version!r} is an alias and cannot be the id of a version.")
    return check(version, "version")
