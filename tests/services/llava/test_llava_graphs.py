"""Steps in shapes that come again: their sizes, what they write, and what happens where no graph can be captured."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from structlog.testing import capture_logs
from torch import Tensor

from services.llava import graphs
from services.llava.blocks import BLOCK
from services.llava.graphs import Graph, Graphs, blocks_for, rows_for
from services.llava.memory import Memory
from services.llava.network import Network
from services.llava.prompt import Prompt
from services.llava.scheduler import Chunk
from services.llava.sequence import Sequence
from tests.services.llava import llavas
from tests.services.llava.llavas import Room
from tests.services.llava.test_llava_parity import prompts, spoken

BLOCKS = 40


class Step:
    """A memory full of random keys and values, and three sequences that each say a token on it."""

    def __init__(self, desk: int = 0) -> None:
        model = llavas.llava()
        self.network = Network(model, context=BLOCKS * BLOCK)
        self.memory = Memory(
            model.config.text_config, blocks=BLOCKS, like=self.network.embeddings, desk=desk, fixed=True
        )
        for pages in self.pages:
            pages[:, :BLOCKS].normal_(generator=torch.Generator().manual_seed(0))
        blocks = iter(torch.randperm(BLOCKS, generator=torch.Generator().manual_seed(0)).tolist())
        self.chunks = [
            self._chunk(length, [next(blocks) for _ in range(-(-length // BLOCK))]) for length in (1, 33, 150)
        ]

    @property
    def pages(self) -> tuple[Tensor, Tensor]:
        return self.memory._keys, self.memory._values

    @staticmethod
    def _chunk(length: int, blocks: list[int]) -> Chunk:
        row = Sequence(Prompt((5,) * length), limit=9, tokens=[5] * length, done=length - 1, blocks=blocks)
        return Chunk(row, length - 1, length, samples=True)

    def tokens(self) -> Tensor:
        return torch.tensor([chunk.row.tokens[-1] for chunk in self.chunks])


def test_sizes_are_few_and_hold_what_they_should() -> None:
    assert [rows_for(count) for count in (1, 2, 3, 4, 5, 16, 17, 256)] == [1, 2, 4, 4, 8, 16, 32, 256]
    assert [blocks_for(tokens) for tokens in (1, 128, 129, 192, 193, 257, 385)] == [8, 8, 12, 12, 16, 24, 32]
    assert len({blocks_for(tokens) for tokens in range(1, 4097)}) <= 12
    assert all(tokens <= blocks_for(tokens) * BLOCK <= max(128, 1.5 * (tokens + BLOCK)) for tokens in range(1, 4097))


@pytest.mark.parametrize("desk", [0, 2**22], ids=["blocks gathered", "at the desk"])
def test_logits_are_those_of_the_step_that_fits_exactly(desk: int) -> None:
    step, exact = Step(desk), Step()
    layout = exact.memory.layout(exact.chunks)
    hidden = torch.nn.functional.embedding(exact.tokens(), exact.network.embeddings)
    expected = exact.network.forward(hidden, layout, exact.memory, torch.arange(3))
    assert (step.memory.seat(step.chunks) == step.chunks) is bool(desk)
    shapes = Graphs(step.network, step.memory, capture=False)
    found = shapes.forward(step.chunks, step.tokens(), seated=bool(desk))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for pages, others in zip(step.pages, exact.pages, strict=True):
        torch.testing.assert_close(pages[:, :BLOCKS], others[:, :BLOCKS], rtol=1e-5, atol=1e-5)


def test_rows_that_only_fill_up_write_where_nobody_reads() -> None:
    step = Step()
    before = [pages.clone() for pages in step.pages]
    Graphs(step.network, step.memory, capture=False).forward(step.chunks, step.tokens(), seated=False)
    own = {chunk.row.blocks[chunk.start // BLOCK] * BLOCK + chunk.start % BLOCK for chunk in step.chunks}
    for pages, old in zip(step.pages, before, strict=True):
        changed = (pages != old).any(-1).any(-1).any(0).flatten().nonzero().flatten().tolist()
        assert set(changed) == own | {step.memory.scratch * BLOCK}


def test_where_no_graph_can_be_captured_the_steps_are_computed_all_the_same() -> None:
    """A CPU captures nothing, which is tried and logged once."""
    model, asked = llavas.llava(), prompts(20, seed=4)
    expected = spoken(llavas.speaker(model), asked, at_once=8)
    with capture_logs() as logged:
        assert spoken(llavas.speaker(model, graphs=True, ahead=True), asked, at_once=8) == expected
    assert [line["event"] for line in logged] == ["graph_failed"]


class Recorded(Graph):
    """Stands for a graph, which only a GPU has: it computes the step again."""

    def __init__(self, inputs: Tensor) -> None:
        self.size = inputs.shape

    def capture(self, step: Callable[[Tensor], Tensor], pool: Any) -> None:
        self.step = step

    def replay(self, inputs: Tensor) -> Tensor:
        assert inputs.shape == self.size
        return self.step(inputs)


def test_a_graph_is_replayed_only_while_the_desk_is_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A desk that is fixed keeps its bytes: the same shape is the same place, however often it changed meanwhile."""
    monkeypatch.setattr(graphs, "Graph", Recorded)
    model, asked = llavas.llava(), prompts(60, seed=11)
    expected = spoken(llavas.speaker(model), asked, at_once=16, limit=70)
    engine = llavas.speaker(model, Room(desk=4 * 2**20, fixed=True), graphs=True, ahead=True)
    assert spoken(engine, asked, at_once=16, limit=70) == expected
    shapes = {desk for _, _, desk in engine._runner.graphs._graphs}  # type: ignore[union-attr]
    assert len(shapes) > 2 and None in shapes, "the desk grew, and some had no room at it"
    desk, places = engine._runner.memory._desk, engine._runner.memory._desk._places
    assert places and desk._kept[0].data_ptr() == places[0].data_ptr()


def test_there_are_no_more_graphs_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST", 2)
    monkeypatch.setattr(graphs, "Graph", Recorded)
    step = Step()
    recorded = Graphs(step.network, step.memory, capture=True)
    for count in (1, 2, 3, 1, 2, 3):
        recorded.forward(step.chunks[:count], step.tokens()[:count], seated=False)
    assert list(recorded._graphs) == [(1, 8, None), (2, 8, None)]
