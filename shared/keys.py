"""API keys: made here, kept as hashes in one file, and recognised without telling how near a guess came.

    create -> "ocelli_<id>_<secret>", shown once -> file: id, sha256, scopes, rate, expiry
    recognise -> the entry of the id (or a decoy) -> constant-time comparison of hashes -> the entry, or None

The secret has 256 random bits, so that a plain sha256 cannot be searched. Revoked keys stay in the file: who looks
into the log later still finds whose id it was.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import limits
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

SCOPES = ("detect", "embed", "chat", "models")
EVERYTHING = "*"


class UnreadableKeys(Exception):
    """The file of keys cannot be read; the sentence tells the operator why."""


def check_rate(rate: str) -> str:
    """`rate` itself, if it is one such as `600/minute`. Raises `ValueError`."""
    try:
        limits.parse(rate)
    except ValueError:
        raise ValueError("a rate is a number and a unit of time, such as 600/minute or 10/second") from None
    return rate


def check_scope(scope: str) -> str:
    """`scope` itself, if there is such a one. Raises `ValueError`."""
    if scope not in (*SCOPES, EVERYTHING):
        raise ValueError(f"a scope is one of {', '.join(SCOPES)}, or {EVERYTHING} for all")
    return scope


Rate = Annotated[str, AfterValidator(check_rate)]
Scope = Annotated[str, AfterValidator(check_scope)]


class Key(BaseModel):
    """What is kept of a key: enough to recognise it, not enough to use it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    name: str = Field("", max_length=64)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: tuple[Scope, ...] = (EVERYTHING,)
    rate: Rate | None = None
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None

    def allows(self, scope: str) -> bool:
        """Whether the key carries `scope`."""
        return scope in self.scopes or EVERYTHING in self.scopes

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and now >= self.expires else "active"


class KeyFile(BaseModel):
    """The file: the keys in the order in which they were made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Key, ...] = ()


def create(
    *, name: str, scopes: Sequence[str], rate: str | None = None, expires: datetime | None = None
) -> tuple[str, Key]:
    """A new key: the text that its owner gets, once, and the entry that is kept. Raises a `ValidationError`."""
    key_id = secrets.token_hex(6)
    text = f"ocelli_{key_id}_{secrets.token_hex(32)}"
    entry = Key(
        id=key_id, name=name, sha256=_hash(text), scopes=tuple(scopes), rate=rate,
        created=datetime.now(UTC).replace(microsecond=0), expires=expires,
    )  # fmt: skip
    return text, entry


def recognise(keys: dict[str, Key], text: str) -> Key | None:
    """The entry that `text` is the key of, whatever its state. Unknown ids take the same way and time."""
    parts = text.split("_", 2)
    entry = keys.get(parts[1] if len(parts) == 3 else "", DECOY)
    return entry if hmac.compare_digest(_hash(text), entry.sha256) else None


def read(path: Path) -> dict[str, Key]:
    """The keys in the file at `path`, by id; none where there is no file. Raises `UnreadableKeys`."""
    try:
        keys = KeyFile.model_validate_json(path.read_bytes()).keys
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        what = "is not a file of keys" if isinstance(error, ValidationError) else "cannot be read"
        raise UnreadableKeys(f"{path} {what}. Mend it, or move it away and make new keys.") from error
    return {key.id: key for key in keys}


def write(path: Path, keys: Sequence[Key]) -> None:
    """Replace the file at `path` in one step: a reader sees the old keys or the new. Only the owner may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_text(KeyFile(keys=tuple(keys)).model_dump_json(indent=2, exclude_none=True) + "\n")
    fresh.replace(path)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# Nothing hashes to zeros; what is compared with it takes as long as with a real entry.
DECOY = Key(id="0" * 12, sha256="0" * 64, created=datetime(2000, 1, 1, tzinfo=UTC))
