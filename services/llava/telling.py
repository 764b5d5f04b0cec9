"""The tokens of an answer -> its text, piece by piece.

token -> bytes -> whole characters -> without the white space that begins the answer
      -> up to a stop string; what may be the beginning of one is held back

tokenizers' own `DecodeStream` raises, or loses text, on bytes that are not UTF-8, which a model may well say.
"""

import codecs
from collections.abc import Sequence

from services.llava.words import Words


class Telling:
    """The text of one answer, as far as it may be sent."""

    def __init__(self, words: Words, stops: Sequence[str] = ()) -> None:
        """The answer ends before the first of `stops` that is complete; if two are at once, before the longer."""
        self.stopped = False
        self._words, self._stops = words, stops
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begun = False
        self._held = ""

    def feed(self, token: int) -> str:
        """The text that is certain with this token, perhaps none; nothing more comes once `stopped` is true."""
        if self.stopped or token in self._words.control:
            return ""
        text = self._decoder.decode(self._words.raw(token))
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        self._held += text
        return self._release()

    def finish(self) -> str:
        """What was held back, when no token comes any more. A character that is not whole is left out."""
        held, self._held = self._held, ""
        return held

    def _release(self) -> str:
        found = [(start + len(stop), start) for stop in self._stops if (start := self._held.find(stop)) >= 0]
        self.stopped = bool(found)
        safe = min(found)[1] if found else len(self._held) - self._undecided()
        text, self._held = self._held[:safe], "" if found else self._held[safe:]
        return text

    def _undecided(self) -> int:
        """How many characters at the end may begin a stop string."""
        longest = min(max(map(len, self._stops), default=1) - 1, len(self._held))
        lengths = range(longest, 0, -1)
        return next((n for n in lengths if any(stop.startswith(self._held[-n:]) for stop in self._stops)), 0)
