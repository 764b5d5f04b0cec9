"""A streamed answer, line by line: when each piece of text came, and whether the answer is complete.

data: {…delta…} -> a piece of text, or none (a role, a count of tokens)     data: [DONE] -> complete
"""

import json
from dataclasses import dataclass, field
from itertools import pairwise

DATA = b"data: "


@dataclass(slots=True)
class Told:
    """What has come of an answer so far; times are those that its reader gives."""

    pieces: list[float] = field(default_factory=list)
    complete: bool = False
    error: str = ""  # the code of an error within the stream

    def read(self, line: bytes, now: float) -> None:
        """Take in a line that came at `now`."""
        if not line.startswith(DATA):
            return
        text = line.removeprefix(DATA).strip()
        if text == b"[DONE]":
            self.complete = True
            return
        event = json.loads(text)
        if error := event.get("error"):
            self.error = str(error.get("code") or "error")
        elif any((choice.get("delta") or {}).get("content") for choice in event.get("choices", ())):
            self.pieces.append(now)

    @property
    def gaps(self) -> list[float]:
        """Seconds between each piece and the next."""
        return [after - before for before, after in pairwise(self.pieces)]

    @property
    def failure(self) -> str:
        """Why this is no answer; empty for a good one."""
        if self.error or (self.complete and self.pieces):
            return self.error
        return "no text" if self.complete else "broken off"
