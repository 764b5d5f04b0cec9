"""How the weights of a process change: one change at a time, and none before it is proved.

prepare    resolve -> verify -> is there room? -> try out, beside what serves -> prepared     or refused, all as before
commit     prepared -> serving -> previous, which stays warm
abort      prepared -> gone; and so it is when nobody commits in time
roll_back  previous <-> serving
keep       a version of another embedding space serves beside, for whoever asks for that space
retire     and no longer

Commit and rollback are assignments: they wait for nothing, and every request keeps the weights that it began with.
"""

import asyncio
import contextlib
import gc
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared import logs
from shared.errors import Conflict
from shared.serving.announce import announce
from shared.serving.batch import Lane
from shared.serving.engine import Engine
from shared.serving.metrics import MODEL_LOAD_SECONDS, MODEL_RELOADS, MODEL_SWAP_SECONDS, RELOADS
from shared.serving.model import Identity, RefusedWeights, Weights
from shared.weights.names import check, parse
from shared.weights.store import Store, Version

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Weights that are ready to serve and wait for their commit."""

    weights: Weights
    by: str
    until: float  # of time.monotonic()
    expiry: asyncio.TimerHandle


class Swaps:
    """The weights of a process's lanes, and the one change that may be under way."""

    def __init__(
        self, engine: Engine, store: Store, *, cache: Path, references: Mapping[str, str], wait: float
    ) -> None:
        """`references` are the settings' own, by name; `wait` is how long prepared weights wait, in seconds."""
        self.engine, self.store = engine, store
        self.references = references
        self.prepared: Prepared | None = None
        self.refused: dict[str, dict[str, str]] = {name: {} for name in references}  # digest -> reason, by name
        self._cache, self._wait = cache, wait
        self._at_work = ""
        for name in references:
            for outcome in RELOADS:  # a counter that begins at its first refusal hides that refusal from rates
                MODEL_RELOADS.labels(name, outcome)

    def follows(self, name: str) -> bool:
        """Whether the settings leave it to the alias champion which version serves under `name`."""
        return parse(self.references[name]).selector == "champion"

    async def load(self, name: str) -> None:
        """Serve the first weights under `name`, those that the settings mean. Raises `RefusedWeights`, `StoreError`."""
        began, lane = time.monotonic(), self.engine.lanes[name]
        version = _served(await asyncio.to_thread(self.store.begin, self.references[name], self._cache))
        await self.engine.take_over(name, version.path, _identity(name, version))
        MODEL_LOAD_SECONDS.labels(name).observe(time.monotonic() - began)
        self._tell("weights_taken", lane, "ok", seconds=round(time.monotonic() - began, 2))

    async def prepare(self, name: str, version: str, *, by: str) -> Weights:
        """Get a version ready to serve. What is ready, or serves, already is no work.

        Raises `RefusedWeights` and `StoreError` about the version, `Conflict` while another change is under way.
        """
        lane = self.engine.lane(name)
        if not self.follows(name):
            raise Conflict(
                f"The settings of this service keep {self.references[name]}. Take the version out of OCELLI_MODELS.",
                code="weights_pinned",
            )
        with self._alone(f"{name}@{check(version, 'version')}"):
            wanted = await asyncio.to_thread(self.store.resolve, f"{name}@{version}")
            self._refuse_beside(wanted)
            with MODEL_SWAP_SECONDS.labels(name, "prepare").time():
                weights = self._at_hand(lane, wanted) or await self._try_out(lane, wanted)
            if weights is not lane.weights:
                self._keep(weights, by)
                log.info("weights_prepared", model=name, weights=version, digest=wanted.digest, by=by)
            return weights

    def commit(self, name: str, digest: str, *, by: str, keep: str | None = None) -> None:
        """Serve what is prepared, and beside it the weights of the digest `keep`, where those are warm.

        Weights that serve already are committed. Raises `Conflict` for all others.
        """
        lane = self.engine.lane(name)
        if lane.identity is not None and lane.identity.digest == digest:
            return
        prepared = self._expect(name, digest)
        began = time.monotonic()
        self._let_go()
        lane.kept = next((weights for weights in self._warm(lane) if weights.identity.digest == keep), lane.kept)
        lane.take(prepared.weights)
        self.refused[name].clear()
        MODEL_SWAP_SECONDS.labels(name, "commit").observe(time.monotonic() - began)
        self._tell("weights_taken", lane, "ok", by=by)

    def abort(self, name: str, digest: str, *, by: str) -> None:
        """Let go of what is prepared. Raises `Conflict` where it is something else."""
        self._expect(name, digest)
        self._let_go()
        MODEL_RELOADS.labels(name, "aborted").inc()
        log.info("weights_aborted", model=name, digest=digest, by=by)

    def roll_back(self, name: str, digest: str, *, by: str) -> None:
        """Serve the weights before, which are warm. Raises `Conflict` where those of `digest` are not warm."""
        lane = self.engine.lane(name)
        if lane.identity is not None and lane.identity.digest == digest:
            return
        if lane.previous is None or lane.previous.identity.digest != digest:
            raise Conflict(f"{name}: these weights are not warm here. Prepare and commit them.", code="not_warm")
        lane.take(lane.previous)
        self._tell("weights_rolled_back", lane, "rolled_back", by=by)

    async def keep(self, name: str, version: str, *, by: str) -> None:
        """Serve a version beside what serves under `name`, in its own embedding space. Raises as `prepare` does."""
        lane = self.engine.lane(name)
        with self._alone(f"{name}@{check(version, 'version')}"):
            wanted = await asyncio.to_thread(self.store.resolve, f"{name}@{version}")
            kept = self._at_hand(lane, wanted) or await self._try_out(lane, wanted, race=False)
        lane.kept = kept
        log.info("weights_kept", model=name, weights=version, digest=wanted.digest, space=kept.model.space, by=by)

    def retire(self, name: str, digest: str, *, by: str) -> None:
        """Let go of what is kept; nothing kept is retired already. Raises `Conflict` where it is something else."""
        lane = self.engine.lane(name)
        if lane.kept is None:
            return
        if lane.kept.identity.digest != digest:
            raise Conflict(f"{name}@{lane.kept.identity.version} is what is kept here.", code="not_kept")
        log.info("weights_retired", model=name, weights=lane.kept.identity.version, digest=digest, by=by)
        lane.kept = None

    @contextlib.contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        if self._at_work:
            raise Conflict(f"{self._at_work} is being prepared here. Wait until that is done.")
        self._at_work = what
        try:
            yield
        finally:
            self._at_work = ""

    def _refuse_beside(self, wanted: Identity) -> None:
        """Raise `Conflict` where something else is prepared."""
        if self.prepared is not None and self.prepared.weights.identity != wanted:
            other, left = self.prepared.weights.identity, self.prepared.until - time.monotonic()
            raise Conflict(
                f"{other.model}@{other.version} is prepared here by {self.prepared.by or 'somebody'}. Commit or abort "
                f"it, or wait {max(1, round(left))} s until it is let go."
            )

    def _at_hand(self, lane: Lane, wanted: Identity) -> Weights | None:
        """The weights, where they are proved and warm already."""
        return next((weights for weights in self._warm(lane) if weights.identity == wanted), None)

    def _warm(self, lane: Lane) -> list[Weights]:
        ready = (lane.weights, lane.previous, lane.kept, self.prepared.weights if self.prepared else None)
        return [weights for weights in ready if weights is not None]

    async def _try_out(self, lane: Lane, wanted: Identity, *, race: bool = True) -> Weights:
        try:
            version = _served(await asyncio.to_thread(self.store.fetch, f"{lane.name}@{wanted.version}", self._cache))
            await asyncio.to_thread(_make_room, lane, version)
            weights = await self.engine.try_out(lane.name, version.path, _identity(lane.name, version), race=race)
        except RefusedWeights as error:
            self.refused[lane.name][wanted.digest] = str(error)
            MODEL_RELOADS.labels(lane.name, "refused").inc()
            log.warning(
                "weights_refused", model=lane.name, weights=wanted.version, digest=wanted.digest, reason=str(error)
            )
            raise
        self.refused[lane.name].pop(wanted.digest, None)  # it may have been for want of memory
        return weights

    def _keep(self, weights: Weights, by: str) -> None:
        self._let_go()
        expiry = asyncio.get_running_loop().call_later(self._wait, self._expire)
        self.prepared = Prepared(weights, by, time.monotonic() + self._wait, expiry)

    def _expect(self, name: str, digest: str) -> Prepared:
        identity = None if self.prepared is None else self.prepared.weights.identity
        if self.prepared is None or identity is None or (identity.model, identity.digest) != (name, digest):
            raise Conflict(f"{name}: these weights are not prepared here. Prepare them first.", code="not_prepared")
        return self.prepared

    def _let_go(self) -> None:
        if self.prepared is not None:
            self.prepared.expiry.cancel()
            self.prepared = None

    def _expire(self) -> None:
        assert self.prepared is not None
        identity, by = self.prepared.weights.identity, self.prepared.by
        self._let_go()
        MODEL_RELOADS.labels(identity.model, "expired").inc()
        log.warning("weights_expired", model=identity.model, weights=identity.version, digest=identity.digest, by=by)

    def _tell(self, event: str, lane: Lane, outcome: str, **more: object) -> None:
        assert lane.identity is not None
        announce(lane)
        MODEL_RELOADS.labels(lane.name, outcome).inc()
        log.info(event, model=lane.name, weights=lane.identity.version, digest=lane.identity.digest, **more)


def _served(version: Version) -> Version:
    """The version, unless it is an adapter, which has no weights of its own. Raises `RefusedWeights`."""
    if version.manifest.merge is not None:
        what = f"{version.model}@{version.version}"
        raise RefusedWeights(f"{what} is an adapter, and serves merged into its base: ocelli models merge {what}")
    return version


def _identity(name: str, version: Version) -> Identity:
    return Identity(name, version.version, version.digest)


def _make_room(lane: Lane, version: Version) -> None:
    """Make room for one more, if need be in place of the weights before. Raises `RefusedWeights` where there is not."""
    assert lane.weights is not None
    model = lane.weights.model
    demand, spare = model.demand(version.path), model.spare()
    if spare is not None and demand > spare and lane.previous is not None:
        lane.previous = None
        gc.collect()
        spare = model.spare()
    if spare is not None and demand > spare:
        raise RefusedWeights(
            f"{lane.name}@{version.version} needs {demand / 1e6:.0f} MB beside what serves, and {spare / 1e6:.0f} MB "
            "are free. Free some, or restart the service with it."
        )
