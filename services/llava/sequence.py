"""One answer in the making: its prompt, what was said so far, and where its keys and values are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.llava.blocks import BLOCK
from services.llava.prompt import Prompt

UNKNOWN = -1  # stands for a token that the device has drawn and nobody has looked at


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt and its answer. `sampling` and `owner` are the engine's; the scheduler does not look at them.

    tokens   those of the prompt and of the answer so far; the last `unknown` ones are `UNKNOWN`
    done     how many of them have keys and values in memory
    blocks   where those are, `BLOCK` tokens each; `names` tell what each full block holds
    reused   tokens that were found in memory and not computed
    out      whether it has left the scheduler; what is drawn for it from then on is thrown away
    """

    prompt: Prompt
    limit: int  # most tokens of the answer
    ends: frozenset[int] = frozenset()  # ids that end it
    wanted: Callable[[], bool] = lambda: True
    deadline: float = float("inf")
    sampling: Any = None
    owner: Any = None
    arrival: int = 0
    tokens: list[int] = field(default_factory=list)
    unknown: int = 0
    done: int = 0
    blocks: list[int] = field(default_factory=list)
    names: list[bytes] = field(default_factory=list)
    reused: int = 0
    out: bool = False

    @property
    def speaks(self) -> bool:
        """Whether only its last token is left to compute."""
        return len(self.tokens) - self.done == 1

    @property
    def known(self) -> int:
        """How many tokens have been looked at, those of the prompt included."""
        return len(self.tokens) - self.unknown

    @property
    def said(self) -> int:
        """Tokens of the answer so far."""
        return self.known - len(self.prompt.tokens)

    @property
    def drawn_out(self) -> bool:
        """Whether no token is left to draw, be they known or not."""
        return len(self.tokens) - len(self.prompt.tokens) >= self.limit

    @property
    def end(self) -> str | None:
        """Why the answer is complete, if it is: `stop` or `length`."""
        if self.said and self.tokens[self.known - 1] in self.ends:
            return "stop"
        return "length" if self.said >= self.limit else None

    def draw(self) -> None:
        """Append a token that nobody has looked at yet."""
        self.tokens.append(UNKNOWN)
        self.unknown += 1

    def learn(self, token: int) -> None:
        """Tell the first of the unknown tokens."""
        self.tokens[self.known] = token
        self.unknown -= 1

    def leave(self) -> None:
        """Be out, with the tokens that are known."""
        del self.tokens[self.known :]
        self.unknown, self.out = 0, True

    @property
    def reusable(self) -> list[bytes]:
        """Names of the blocks that may be found in memory: at least one token is left to compute."""
        return self.names[: (len(self.tokens) - 1) // BLOCK]

    def name(self) -> None:
        """Name the blocks that have become full of known tokens."""
        while (start := len(self.names) * BLOCK) + BLOCK <= self.known:
            before = self.names[-1] if self.names else b""
            self.names.append(self.prompt.key(before, self.tokens[start : start + BLOCK], start))
