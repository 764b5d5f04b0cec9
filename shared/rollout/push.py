"""A push in two phases, and the way back.

push       prepare everywhere -> all ready?  -> the alias moves, if it still points where it did -> commit everywhere
                              -> one is not  -> abort everywhere; nothing was changed
           into a new embedding space: before it the alias kept moves to the version of before, which serves on beside
roll_back  the alias moves back -> every replica takes the weights before, which are warm

The alias is the truth: who misses its commit follows within seconds. So whenever the pusher dies, all replicas come to
serve the old version, or all the new.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.rollout.errors import NoWayBack, Refused, SpaceMoved
from shared.rollout.fleet import Fleet, Reply
from shared.rollout.kept import Kept, settle
from shared.serving.model import Identity
from shared.weights.errors import NotInStore
from shared.weights.store import Store

SPACE_SHIFT = "new/space_shift"  # the metric of a manifest
MOST_SHIFT = 0.02  # trainings beside replay moved it by .004 to .009, one without by .086


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a push did: the version that serves now, the one before, and who took it.

    late    replicas that were not reached, or did not do it: they follow the alias
    kept    the version of the space of before, which serves beside
    """

    identity: Identity
    before: str | None
    replies: tuple[Reply, ...]
    seconds: float
    kept: str | None = None

    @property
    def late(self) -> list[Reply]:
        """Those that have yet to follow."""
        return [reply for reply in self.replies if not reply.ok]


async def push(
    store: Store, model: str, version: str, *, fleet: Fleet, allow_missing: bool = False, new_space: bool = False
) -> Outcome:
    """Serve `model@version` on every replica of `fleet`, and let champion point at it.

    Raises `SpaceMoved` for embeddings that are not comparable with those of before, unless a `new_space` is meant; then
    the version of before serves on beside it. Raises `SpaceKept` where that of an earlier push still does.
    Raises `Refused` where a replica does not take it (or cannot be reached, unless `allow_missing`), `AliasMoved` where
    champion was moved meanwhile, and other `StoreError`s. Nothing is changed then.
    """
    began = time.monotonic()
    identity, champion = store.resolve(f"{model}@{version}"), store.pointer(model, "champion")
    before = None if champion is None else champion.version
    kept = Kept(store, model, fleet.by)
    left = None if before == identity.version else before  # the version whose space may be left
    if not new_space:
        _guard_space(store, identity)
    elif left is not None:
        kept.expect_room(identity.version, left)
    digest, replies = {"digest": identity.digest}, list[Reply]()
    try:
        replies = await fleet.every("prepare", model, {"version": identity.version})
        _check(f"{model}@{identity.version}", replies, allow_missing=allow_missing)
        if new_space and left is not None and _have_spaces(replies):
            kept.hold(left)
        store.move_alias(model, "champion", identity.version, expected=before, by=fleet.by)
    except BaseException:
        kept.restore()
        # Whoever interrupts the prepare phase leaves nobody to say who is ready.
        ready = [reply.replica for reply in replies if reply.ok] if replies else fleet.replicas
        await asyncio.shield(fleet.every("abort", model, digest, among=ready))
        raise
    ready = [reply.replica for reply in replies if reply.ok]
    missing = [reply for reply in replies if not reply.ok]
    committed = await fleet.every("commit", model, digest | kept.order, among=ready)
    settle(store, model, identity.version, by=fleet.by)
    return Outcome(identity, before, (*committed, *missing), time.monotonic() - began, kept.version)


async def roll_back(store: Store, model: str, *, fleet: Fleet) -> Outcome:
    """Serve again what champion pointed at before. Raises `NoWayBack`, and `AliasMoved` where somebody was faster.

    The alias moves first: this is for the moment when the new weights do harm, and nobody is waited for.
    """
    began = time.monotonic()
    champion = store.pointer(model, "champion")
    try:
        identity = store.resolve(f"{model}@previous")
    except NotInStore as error:
        raise NoWayBack(f"{model} never served another version. Push the one that you want.") from error
    before = None if champion is None else champion.version
    store.move_alias(model, "champion", identity.version, expected=before, by=fleet.by)
    replies = await fleet.every("rollback", model, {"digest": identity.digest})
    warm = [reply for reply in replies if reply.code != "not_warm"]
    cold = await _anew(fleet, identity, [reply for reply in replies if reply.code == "not_warm"])
    settle(store, model, identity.version, by=fleet.by)
    return Outcome(identity, before, (*warm, *cold), time.monotonic() - began)


async def _anew(fleet: Fleet, identity: Identity, cold: Sequence[Reply]) -> list[Reply]:
    """Let replicas that do not have the weights warm any more read them again."""
    if not cold:
        return []
    asked = [reply.replica for reply in cold]
    prepared = await fleet.every("prepare", identity.model, {"version": identity.version}, among=asked)
    ready = [reply.replica for reply in prepared if reply.ok]
    committed = await fleet.every("commit", identity.model, {"digest": identity.digest}, among=ready)
    return [*committed, *(reply for reply in prepared if not reply.ok)]


def _guard_space(store: Store, identity: Identity) -> None:
    """Hold the vectors of fixed probes, as the job compared them with those of before, to a limit."""
    shift = store.manifest(identity.model, identity.version).metrics.get(SPACE_SHIFT, 0.0)
    if shift > MOST_SHIFT:
        raise SpaceMoved(
            f"{identity.model}@{identity.version} moves the embedding space: 1 - cosine of its probes is {shift:.4f} "
            f"in the mean, at most {MOST_SHIFT}. Vectors that users keep would not fit any more. Teach it with "
            "--replay, or push it with --new-space and embed again what was kept."
        )


def _have_spaces(replies: Sequence[Reply]) -> bool:
    """Whether the weights that serve embed; nobody there to ask counts as a yes."""
    told = [reply.state["serving"] for reply in replies if reply.state]
    return not told or any("embedding_space" in serving for serving in told)


def _check(what: str, replies: Sequence[Reply], *, allow_missing: bool) -> None:
    tolerated: Callable[[Reply], bool] = (lambda reply: reply.missing) if allow_missing else (lambda reply: False)
    reasons = [f"{reply.replica}: {reply.reason}" for reply in replies if not reply.ok and not tolerated(reply)]
    if not replies and not allow_missing:
        reasons = ["no replica was found. Start the service, name replicas, or allow that they are missing"]
    if reasons:
        raise Refused(what, reasons)
