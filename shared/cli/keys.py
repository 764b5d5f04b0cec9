"""`ocelli keys`: make, list and revoke the API keys of the gateway, which notices each change within a second."""

import argparse
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from shared import keys
from shared.cli.table import table, when

T = TypeVar("T")

HEAD = ("ID", "NAME", "SCOPES", "RATE", "CREATED (UTC)", "EXPIRES (UTC)", "STATE")
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands of `ocelli keys`."""
    parser.add_argument("--file", type=Path, help="file of keys (default: OCELLI_GATEWAY__KEYS, or <state>/keys.json)")
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    create = actions.add_parser("create", help="make a key and print it, once")
    create.add_argument("--name", default="", help="whose key it is")
    create.add_argument("--scopes", default=keys.EVERYTHING, type=_scopes, help=f"of {', '.join(keys.SCOPES)}; or *")
    create.add_argument("--rate", type=_typed(keys.check_rate), help="such as 600/minute (default: the gateway's)")
    create.add_argument("--expires", metavar="AFTER", type=_typed(lifetime), help="such as 12h, 90d or 4w")
    create.set_defaults(run=_create)
    actions.add_parser("list", help="list the keys, without their secrets").set_defaults(run=_list)
    revoke = actions.add_parser("revoke", help="refuse a key from now on")
    revoke.add_argument("id", help="the key's id, the part between the underscores")
    revoke.set_defaults(run=_revoke)


def lifetime(text: str) -> timedelta:
    """`90d` as a time. Raises `ValueError`."""
    parts = re.fullmatch(r"([1-9]\d{0,3})([hdw])", text)
    if parts is None:
        raise ValueError("a lifetime is a number and a unit, such as 12h, 90d or 4w")
    return int(parts[1]) * UNITS[parts[2]]


def _create(arguments: argparse.Namespace) -> int:
    path = _path(arguments)
    known = _read(path)
    expires = datetime.now(UTC).replace(microsecond=0) + arguments.expires if arguments.expires else None
    text, entry = keys.create(name=arguments.name[:64], scopes=arguments.scopes, rate=arguments.rate, expires=expires)
    keys.write(path, [*known.values(), entry])
    print(text)
    print(f"Keep it: it is shown this once. Its id is {entry.id}; {path} holds its hash.", file=sys.stderr)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    rows = [
        (
            key.id,
            key.name or "-",
            ",".join(key.scopes),
            key.rate or "default",
            when(key.created),
            when(key.expires) if key.expires else "never",
            key.state(now),
        )
        for key in _read(_path(arguments)).values()
    ]
    print(table(HEAD, rows))
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    path = _path(arguments)
    known = _read(path)
    if arguments.id not in known:
        print(f"ocelli keys: there is no key {arguments.id!r} in {path}", file=sys.stderr)
        return 1
    revoked = known[arguments.id].model_copy(update={"revoked": datetime.now(UTC).replace(microsecond=0)})
    keys.write(path, [*(known | {revoked.id: revoked}).values()])
    print(f"{revoked.id} is revoked")
    return 0


def _path(arguments: argparse.Namespace) -> Path:
    """The file that the gateway of this environment reads."""
    named = os.environ.get("OCELLI_GATEWAY__KEYS") or os.environ.get("OCELLI_KEYS")
    state = os.environ.get("OCELLI_GATEWAY__STATE") or os.environ.get("OCELLI_STATE", ".ocelli")
    return arguments.file or (Path(named) if named else Path(state) / "keys.json")


def _read(path: Path) -> dict[str, keys.Key]:
    try:
        return keys.read(path)
    except keys.UnreadableKeys as error:
        print(f"ocelli keys: {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _scopes(text: str) -> list[str]:
    return [_typed(keys.check_scope)(scope.strip()) for scope in text.split(",")]


def _typed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse` for argparse, which shows our own sentence instead of its own."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed
