"""The keys in force: the file of keys, read again when it changes, so that a rotation needs no restart."""

import time
from datetime import UTC, datetime
from pathlib import Path

from shared import keys, logs
from shared.settings import stop

LOOK_S = 0.5  # between two looks at the file; a revoked key ends within this time

log = logs.get(__name__)


class Keyring:
    """The keys in the file at `path`."""

    def __init__(self, path: Path) -> None:
        """Raises `UnreadableKeys`."""
        self.path = path
        self.keys = keys.read(path)
        self.required = bool(self.keys)  # once keys are required, no later state of the file opens the gateway
        self._stamp = self._look()
        self._looked = time.monotonic()

    def find(self, text: str) -> keys.Key | None:
        """The entry that `text` is the key of, whatever its state."""
        return keys.recognise(self.keys, text)

    def refresh(self) -> None:
        """Read the file again, if it is time to look and it has changed. What cannot be read changes nothing."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.keys = keys.read(self.path)
        except keys.UnreadableKeys as error:
            log.error("keys_not_read", reason=str(error))  # noqa: TRY400 -- the reason is the whole story
            return
        self.required = self.required or bool(self.keys)
        log.info("keys_read", count=len(self.keys))

    def _look(self) -> tuple[int, int, int] | None:
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size


def open_keyring(path: Path, *, host: str, public: bool) -> Keyring:
    """The keys in the file at `path`, or an exit that says why the gateway cannot start with them."""
    try:
        keyring = Keyring(path)
    except keys.UnreadableKeys as error:
        stop(str(error))
    now = datetime.now(UTC)
    if public and not any(key.state(now) == "active" for key in keyring.keys.values()):
        stop(
            f"Others can reach the gateway at {host}, and there is no valid API key in {path}. Make one with "
            "'ocelli keys create', or listen on 127.0.0.1 (OCELLI_HOST; for a container, where its port is published, "
            "OCELLI_PUBLISHED)."
        )
    return keyring
