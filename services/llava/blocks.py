"""Which block of the KV memory holds what: allotted, shared, remembered. It decides and does not compute.

    free -> taken (one user) -> shared (several) -> remembered (none, but its content has a name) -> free

A block has room for `BLOCK` tokens. A full one gets a name that covers everything before it as well, so that prompts
that begin alike share what they have in common: earlier turns of a conversation, or the same picture with another
question. A remembered block is given away when no free one is left, the one first that was unused for longest.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

BLOCK = 16  # tokens


class Blocks:
    """The bookkeeping of `count` blocks."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = list(range(count - 1, -1, -1))
        self._users = [0] * count
        self._names: dict[int, bytes] = {}
        self._by_name: dict[bytes, int] = {}
        self._unused: OrderedDict[int, None] = OrderedDict()  # remembered, and the longest unused first

    @property
    def available(self) -> int:
        """Blocks that can be had now."""
        return len(self._free) + len(self._unused)

    @property
    def used(self) -> int:
        """Blocks that sequences hold."""
        return self.count - self.available

    def find(self, names: Iterable[bytes]) -> list[int]:
        """The blocks of the longest beginning of `names` that is remembered or in use. They are not taken yet."""
        found = []
        for name in names:
            block = self._by_name.get(name)
            if block is None:
                break
            found.append(block)
        return found

    def cost(self, found: Sequence[int]) -> int:
        """How many of the blocks `found` count as available until they are shared."""
        return sum(block in self._unused for block in found)

    def share(self, found: Iterable[int]) -> None:
        """Take blocks that `find` gave, beside whoever uses them."""
        for block in found:
            self._unused.pop(block, None)
            self._users[block] += 1

    def take(self) -> int:
        """A block with nothing in it. Raises `IndexError` when none is available."""
        if not self._free:
            if not self._unused:
                raise IndexError("no block is available")
            block, _ = self._unused.popitem(last=False)
            del self._by_name[self._names.pop(block)]
            self._free.append(block)
        block = self._free.pop()
        self._users[block] = 1
        return block

    def name(self, block: int, name: bytes) -> None:
        """Tell what a full block holds. Where another block holds the same, that one keeps the name."""
        if block not in self._names and name not in self._by_name:
            self._names[block] = name
            self._by_name[name] = block

    def release(self, blocks: Iterable[int]) -> None:
        """Give back blocks of one sequence; the last ones are forgotten first, since fewer prompts share them."""
        for block in reversed(list(blocks)):
            self._users[block] -= 1
            if self._users[block] == 0:
                if block in self._names:
                    self._unused[block] = None
                else:
                    self._free.append(block)
