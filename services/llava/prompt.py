"""A prompt as the engine sees it: token ids, and the places in them where pictures stand.

No torch here: the scheduler and the cache decide by what this file tells.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

Digest = bytes


@dataclass(frozen=True, slots=True)
class Span:
    """A picture in a prompt: its first token, how many tokens it takes, and the digest of its content."""

    start: int
    length: int
    digest: Digest

    @property
    def stop(self) -> int:
        """The token after its last one."""
        return self.start + self.length

    def meets(self, start: int, stop: int) -> bool:
        """Whether some of its tokens are among `[start, stop)`."""
        return self.start < stop and start < self.stop


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids with the pictures among them; `pixels` holds what the network reads of each, by digest.

    salt   keeps what is remembered of this prompt apart from that of prompts with another one
    """

    tokens: tuple[int, ...]
    spans: tuple[Span, ...] = ()
    pixels: dict[Digest, Any] = field(default_factory=dict)
    salt: bytes = b""

    def within(self, start: int, stop: int) -> Iterator[Span]:
        """The pictures that have tokens among `[start, stop)`."""
        return (span for span in self.spans if span.meets(start, stop))

    def key(self, before: bytes, tokens: list[int], start: int) -> bytes:
        """The name of a block that holds `tokens` from position `start` on, after the block that is named `before`.

        Equal names mean equal keys and values: the name covers all tokens and pictures up to its end.
        """
        name = blake2b(before or self.salt, digest_size=16)
        name.update(b"".join(token.to_bytes(4, "little") for token in tokens))
        for span in self.within(start, start + len(tokens)):
            name.update(b"\0picture" + (start - span.start).to_bytes(4, "little", signed=True) + span.digest)
        return name.digest()
