"""LLaVA on a CUDA device: the same words as `generate`, in graphs or without, and a host that nothing waits for."""

import gc
from functools import partial
from typing import Any

import pytest
import torch

from services.llava import serving
from services.llava.model import Llava
from services.llava.sampling import Sampling
from services.llava.sequence import Sequence
from services.llava.speaker import Speaker
from shared.accel.device import choose
from tests.services.llava import llavas
from tests.services.llava.llavas import END, Room
from tests.services.llava.test_llava_parity import prompts, spoken, told
from tests.services.llava.test_llava_shipped import VERSION, talks

pytestmark = pytest.mark.gpu

PAGED, DENSE = Room(desk=0), Room(fixed=True)
MEBIBYTE = 2**20


def shipped(dtype: torch.dtype, *, memory: int = 256 * MEBIBYTE) -> Llava:
    model = Llava.within(serving.Room(memory=memory))(choose("auto", 1), dtype)
    model.use(model.read(VERSION))
    return model


def random_llava() -> Any:
    return llavas.llava().to(choose("auto", 1))


def graphs_of(engine: Speaker) -> int:
    graphs = engine._runner.graphs
    return len(graphs._graphs) if graphs else 0


def test_in_float32_the_shipped_model_says_what_generate_says_alone_and_among_15_others() -> None:
    model = shipped(torch.float32)
    state, asked = model.serving.state, [model.preprocess(talk).prompt for talk in talks(60)]
    expected = [llavas.generated(state.module, each, 16, pixels=state.pixels) for each in asked]
    for at_once in (1, 16):
        assert spoken(model.serving.speaker, asked, at_once=at_once, limit=16) == expected
    assert graphs_of(model.serving.speaker) > 1, "steps were captured"


def test_in_bfloat16_it_says_nearly_always_the_same() -> None:
    exact, half = shipped(torch.float32), shipped(torch.bfloat16)
    asked = [exact.preprocess(talk).prompt for talk in talks(60)]
    expected = spoken(exact.serving.speaker, asked, at_once=16, limit=16)
    found = spoken(half.serving.speaker, asked, at_once=16, limit=16)
    assert half.describe()["dtype"] == "bfloat16"
    assert sum(one == other for one, other in zip(expected, found, strict=True)) >= 48


@pytest.mark.parametrize("room", [PAGED, DENSE], ids=["blocks gathered", "at the desk"])
@pytest.mark.parametrize("ahead", [False, True], ids=["each step seen at once", "a step late"])
def test_graphs_say_what_kernels_one_by_one_say(ahead: bool, room: Room) -> None:
    model, asked = random_llava(), prompts(60, seed=6)
    expected = spoken(llavas.speaker(model, PAGED), asked, at_once=16)
    for graphs in (False, True):
        engine = llavas.speaker(model, room, graphs=graphs, ahead=ahead)
        for _ in range(2):  # the second time every size is there already
            assert spoken(engine, asked, at_once=16) == expected
        assert (graphs_of(engine) > 1) is graphs


def test_draws_and_callers_who_leave_are_the_same_seen_late() -> None:
    model, asked = random_llava(), prompts(60, seed=7)
    seen = told(llavas.speaker(model, DENSE, graphs=True), asked)
    assert told(llavas.speaker(model, DENSE, graphs=True, ahead=True), asked) == seen


def test_who_leaves_holds_nothing_within_two_steps() -> None:
    engine = llavas.speaker(random_llava(), DENSE, graphs=True, ahead=True)
    here = [True]
    rows = [Sequence(each, 60, wanted=partial(here.__getitem__, 0)) for each in prompts(16, seed=8)]
    for row in rows:
        engine.scheduler.add(row)
    for _ in range(10):
        list(engine.step())
    assert engine.scheduler.blocks.used
    here[0] = False
    for _ in range(2):
        list(engine.step())
    assert engine.scheduler.blocks.used == 0 and not engine.scheduler.busy


def test_a_step_in_which_all_speak_makes_the_host_wait_for_nothing() -> None:
    engine = llavas.speaker(random_llava(), DENSE, graphs=True, ahead=True)
    wishes = [None, Sampling(seed=1, top_p=0.9), Sampling(temperature=0, logprobs=3), Sampling(logit_bias={5: 2.0})]
    rows = [Sequence(each, 60, sampling=how) for each, how in zip(prompts(4, seed=9), wishes, strict=True)]
    for row in rows:
        engine.scheduler.add(row)
    while not all(row.said > 3 for row in rows):  # until the graph of their size is there
        list(engine.step())
    plan, unseen = engine.scheduler.plan(0), engine._unseen
    assert unseen and len(plan.chunks) == 4
    torch.cuda.set_sync_debug_mode("error")
    try:
        launched = engine._runner.launch(plan.chunks, unseen[1])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(choice.token >= 0 for choice in launched.choices())


def test_where_a_graph_cannot_be_captured_its_steps_are_computed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at the host in the midst of a step is what a capture does not allow."""
    model, asked = random_llava(), [each for each in prompts(20, seed=10) if END not in each.tokens]
    expected = spoken(llavas.speaker(model, PAGED), asked, at_once=8)
    engine = llavas.speaker(model, DENSE, graphs=True, ahead=True)
    graphs = engine._runner.graphs
    assert graphs
    step = graphs._step

    def looking(inputs: torch.Tensor, *, seated: bool) -> torch.Tensor:
        logits = step(inputs, seated=seated)
        assert logits.isfinite().all()
        return logits

    monkeypatch.setattr(graphs, "_step", looking)
    assert spoken(engine, asked, at_once=8) == expected
    assert graphs_of(engine) == 0


def test_weights_that_nobody_holds_leave_no_memory_behind() -> None:
    def use() -> int:
        model = shipped(torch.bfloat16)
        asked = [model.preprocess(talk).prompt for talk in talks(16)]
        spoken(model.serving.speaker, asked, at_once=16, limit=16)
        return torch.cuda.memory_allocated()

    def left() -> int:
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        return torch.cuda.memory_allocated()

    most = use()
    before = left()  # what the libraries keep for themselves
    use()
    assert left() - before < 8 * MEBIBYTE < most - before
