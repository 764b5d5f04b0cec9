"""The key of the admin surface: random, readable by its owner alone, made once by whichever process is first."""

import contextlib
import os
import secrets
from pathlib import Path

NAME = "admin.key"
LEAST = 16  # characters; a shorter one can be guessed


def admin_key(state: Path, file: Path | None) -> str | None:
    """The key in `file`, or that of the local `state`, which is made unless it is there. None where there is none."""
    return read(file) if file is not None else read(state / NAME) or make(state)


def read(file: Path) -> str | None:
    """The key in a file; None where there is no file, or no key in it."""
    try:
        key = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return key if len(key) >= LEAST and key.isascii() else None


def make(state: Path) -> str | None:
    """The key of the local state. Written whole under another name first, and then linked: nobody reads half a key."""
    target, draft = state / NAME, state / f".{NAME}.{secrets.token_hex(4)}"
    with contextlib.suppress(OSError):  # the state may be read-only: then there is a key only if it was put there
        state.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, f"{secrets.token_urlsafe(32)}\n".encode())
            with contextlib.suppress(FileExistsError):
                os.link(draft, target)
        finally:
            os.close(descriptor)
            draft.unlink()
    return read(target)
