"""`ocelli models push | promote | rollback | retire | history`: new weights into the services, the way back, the past.

reference -> store, replicas, key -> shared.rollout.push -> a line per replica and step -> what serves now
"""

import argparse
import asyncio
import json
import textwrap
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from shared.cli.table import when
from shared.rollout.errors import NotKept
from shared.rollout.fleet import Fleet, Reply
from shared.rollout.kept import Retired, retire
from shared.rollout.push import Outcome, push, roll_back
from shared.rollout.reach import reach
from shared.weights.aliases import Pointer
from shared.weights.errors import NotInStore
from shared.weights.manifest import Data, Manifest
from shared.weights.names import check, parse
from shared.weights.store import Store
from shared.who import user

FAMILIES = {"detection": ("faster-rcnn", "ssd", "mask-rcnn")}  # the models of a service that is named otherwise
WIDTH = 60  # of what the data is, beside its hash
TOLD = ("run", "gate", "forced")  # parameters that the fine-tuning job leaves in a manifest


class Move(NamedTuple):
    """A move of champion, or of kept, and the version that it was about."""

    alias: str
    pointer: Pointer
    manifest: Manifest


Done = TypeVar("Done")
Action = Callable[[argparse.Namespace, Store, Path], int]


def configure_push(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `push` and `promote`."""
    parser.add_argument("reference", help="model@version, or model@candidate")
    parser.add_argument(
        "--allow-missing", action="store_true", help="go on without replicas that cannot be reached; they follow later"
    )
    parser.add_argument(
        "--new-space", action="store_true", help="a CLIP whose vectors are not comparable with those of before is meant"
    )
    _configure_fleet(parser)


def configure_rollback(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rollback`."""
    parser.add_argument("model", help="a model, or a service for that of its models that was pushed last")
    _configure_fleet(parser)


def configure_retire(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `retire`."""
    parser.add_argument("reference", help="model@version; or a model, with --space")
    parser.add_argument("--space", metavar="ID", help="the id of the embedding space that ends, in place of a version")
    _configure_fleet(parser)


def configure_history(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `history`."""
    parser.add_argument("model", help="a model, or a service for that of its models that was pushed last")
    parser.add_argument("--digest", metavar="SHA256", help="only the moves to this version, by the first digits")
    parser.add_argument("--json", action="store_true")


def _configure_fleet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--replicas", metavar="HOST:PORT,…", help="management addresses; a name stands for all of its addresses "
        "(default: the services of this machine that serve the model)",
    )  # fmt: skip
    parser.add_argument("--by", default=user(), help="who answers for it (default: %(default)s)")


def run_push(arguments: argparse.Namespace, store: Store, state: Path) -> int:
    """Push a version into all replicas, or into none."""
    model, selector = parse(_named(arguments.reference, store))
    version = _merged(store, model, store.resolve(f"{model}@{selector}").version, state)
    missing, new_space = arguments.allow_missing, arguments.new_space

    async def act(fleet: Fleet) -> Outcome:
        return await push(store, model, version, fleet=fleet, allow_missing=missing, new_space=new_space)

    return _tell(model, asyncio.run(_with_fleet(arguments, model, state, act)))


def run_rollback(arguments: argparse.Namespace, store: Store, state: Path) -> int:
    """Serve the version before again."""
    model = _named(arguments.model, store)

    async def act(fleet: Fleet) -> Outcome:
        return await roll_back(store, model, fleet=fleet)

    return _tell(model, asyncio.run(_with_fleet(arguments, model, state, act)))


def run_retire(arguments: argparse.Namespace, store: Store, state: Path) -> int:
    """End the service of the embedding space of before."""
    model, at, version = arguments.reference.partition("@")
    if bool(at) == bool(arguments.space):
        raise NotKept(f"Say which space ends: {model}@<version>, or {model} --space <id>.")

    async def act(fleet: Fleet) -> Retired:
        return await retire(store, model, fleet=fleet, version=version or None, space=arguments.space)

    retired = asyncio.run(_with_fleet(arguments, check(model, "model"), state, act))
    count, seconds = len(retired.replies), retired.seconds
    print(f"{model}@kept -> nothing  (was {retired.version})")
    print(f"It has ended on {count - len(retired.late)} of {count} replicas, {seconds:.2f} s after the beginning.")
    _tell_late(retired.late)
    return 0


def run_history(arguments: argparse.Namespace, store: Store, _: Path) -> int:
    """Every version that champion pointed at, or that was kept beside, when, by whose hand, and where it came from."""
    model = _named(arguments.model, store)
    digest = arguments.digest or ""
    digest = digest if not digest or digest.startswith("sha256:") else f"sha256:{digest}"
    moves = [
        Move(alias, pointer, store.manifest(model, pointer.version))
        for alias in ("kept", "champion")  # in one second the space of before is kept first
        for pointer in store.history(model, alias)
        if pointer.digest.startswith(digest)
    ]
    if not moves:
        raise NotInStore(f"champion of {model} never pointed at {digest or 'anything'} in {store.url}.")
    moves.sort(key=lambda move: move.pointer.at)
    if arguments.json:
        print(json.dumps([_fields(move) for move in moves], indent=2))
    else:
        print("\n\n".join("\n".join(_lines(model, move)) for move in moves))
    return 0


def _merged(store: Store, model: str, version: str, state: Path) -> str:
    """The version, or that which an adapter is merged into, made unless it is in the store."""
    if store.manifest(model, version).merge is None:
        return version
    from services.finetune.adapters import merge

    merged = merge(store, model, version, cache=state / "cache").version
    print(f"{model}@{version} is an adapter: merged into its base it is {model}@{merged}")
    return merged


async def _with_fleet(
    arguments: argparse.Namespace, model: str, state: Path, act: Callable[[Fleet], Awaitable[Done]]
) -> Done:
    def say(line: str) -> None:
        print(line, flush=True)

    async with reach(model, addresses=arguments.replicas, state=state, by=arguments.by, say=say) as fleet:
        return await act(fleet)


def _named(reference: str, store: Store) -> str:
    """The reference; a service stands for the one of its models that was pushed last."""
    service, at, selector = reference.partition("@")
    pushed = [
        (moves[-1].at, model)
        for model in FAMILIES.get(service, ())
        if len(moves := store.history(model, "champion")) > 1
    ]
    return (max(pushed)[1] if pushed else FAMILIES.get(service, (service,))[0]) + at + selector


def _tell(model: str, outcome: Outcome) -> int:
    identity, count = outcome.identity, len(outcome.replies)
    print(f"{model}@champion -> {identity.version}  (was {outcome.before or 'not set'})  {identity.digest}")
    print(f"It serves on {count - len(outcome.late)} of {count} replicas, {outcome.seconds:.2f} s after the beginning.")
    if outcome.kept:
        print(f"{model}@{outcome.kept} serves on for its space, until: ocelli models retire {model}@{outcome.kept}")
    _tell_late(outcome.late)
    return 0


def _tell_late(late: Sequence[Reply]) -> None:
    for reply in late:
        print(f"{reply.replica} has yet to follow: {reply.reason}")


def _fields(move: Move) -> dict[str, Any]:
    manifest = move.manifest
    return move.pointer.model_dump(mode="json") | {
        "alias": move.alias,
        "base": manifest.base,
        "data": manifest.data and manifest.data.model_dump(mode="json"),
        "made": manifest.made.model_dump(mode="json", exclude_none=True),
        "metrics": manifest.metrics,
    }


def _short(data: Data) -> str:
    """What the data is, in a line."""
    return textwrap.shorten(data.description, WIDTH, placeholder=" …")


def _lines(model: str, move: Move) -> Iterator[str]:
    """One move: when, what, by whom; below it where a version that came to serve is from."""
    pointer, manifest = move.pointer, move.manifest
    done = "" if move.alias == "champion" else "retired " if pointer.retired else "kept beside "
    yield f"{when(pointer.at)}  {model}@{pointer.version}  {pointer.digest}  {done}by {pointer.by}"
    if done:
        return
    made, data = manifest.made, manifest.data
    told = {name: str(made.parameters[name]) for name in TOLD if name in made.parameters}
    facts = {
        "base": manifest.base,
        "data": data and " ".join(part for part in (data.sha256 and f"sha256:{data.sha256}", _short(data)) if part),
        "made": f"{when(made.at)} by {made.by}",
        **told,
        "metrics": "  ".join(f"{name} {value:.4g}" for name, value in manifest.metrics.items()),
    }
    yield from (f"    {name:<8}  {value}" for name, value in facts.items() if value)
