"""Which backend the settings mean, and that what it makes of a network answers as the network does."""

import os
import sys
import sysconfig
import threading
from pathlib import Path

import pytest
import torch
from structlog.testing import capture_logs
from torch import Tensor, nn
from torch._dynamo.utils import counters

from shared.accel import openvino
from shared.accel.backends import EAGER, Backend, BackendUnavailable, choose_backend
from shared.accel.on_device import DeviceModel
from shared.settings import EXIT_CONFIG, ServiceSettings, TowerSettings, unknown_variables

torch.set_num_threads(1)

CPU = torch.device("cpu")
SIDE = 16
EXAMPLES = torch.randn(2, 3, SIDE, SIDE)


class Patches(nn.Module):
    """Pictures [n, 3, 16, 16] -> four patches [n, 4, 12]."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.cut, self.mix = nn.Conv2d(3, 32, 8, 8), nn.Linear(32, 12)
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        cut = self.cut(pictures.to(self.mix.weight.dtype)).flatten(2).mT
        mixed: Tensor = self.mix(torch.tanh(cut))
        return mixed


def assert_same(backend: str, *, dtype: torch.dtype = torch.float32, apart: float = 1e-5) -> None:
    """Every batch size, on another thread than the one that built, as it is served."""
    tower = Patches()
    built = Backend(backend).build(tower, EXAMPLES, dtype)
    assert built is not None
    found: list[tuple[Tensor, Tensor]] = []

    @torch.inference_mode()
    def serve() -> None:
        for size in range(1, 9):
            pictures = torch.randn(size, 3, SIDE, SIDE)
            found.append((tower(pictures), built(pictures).float()))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert [len(one) for _, one in found] == list(range(1, 9))
    assert max(float((one - other).abs().max()) for one, other in found) < apart


def test_eager_is_the_tower_itself() -> None:
    assert choose_backend("eager", torch.device("cuda", 0), 1) is EAGER
    assert EAGER.build(Patches(), EXAMPLES, torch.float32) is None


def test_openvino_answers_as_torch_does() -> None:
    assert_same("openvino")


def test_openvino_in_bfloat16_answers_nearly_so() -> None:
    assert_same("openvino", dtype=torch.bfloat16, apart=0.1)


def test_answers_of_openvino_are_not_overwritten_by_the_next_ones() -> None:
    built = Backend("openvino").build(Patches(), EXAMPLES, torch.float32)
    assert built is not None
    first = built(torch.ones(2, 3, SIDE, SIDE))
    kept = first.clone()
    built(torch.zeros(2, 3, SIDE, SIDE))
    assert torch.equal(first, kept)


@pytest.mark.timeout(300)  # 20 s of one core where nothing is compiled yet
def test_torch_compile_answers_as_torch_does_and_compiles_nothing_while_it_serves() -> None:
    counters.clear()
    assert_same("compile")
    assert counters["stats"]["unique_graphs"] == 2  # one picture, and any other number of them


def test_a_network_that_answers_otherwise_is_refused_and_eager_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    make = openvino.compiled
    monkeypatch.setattr(openvino, "compiled", lambda tower, *given, **options: make(Patches(1), *given, **options))
    with capture_logs() as lines:
        assert Backend("openvino").build(Patches(), EXAMPLES, torch.float32) is None
    (line,) = lines
    assert (line["log_level"], line["event"], line["backend"]) == ("warning", "backend_refused", "openvino")
    assert line["cosine"] < 0.9


def test_a_number_type_that_costs_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.accel.backends.AGREEMENT", {torch.bfloat16: 0.9999999})
    with capture_logs() as lines:
        assert Backend("openvino").build(Patches(), EXAMPLES, torch.bfloat16) is None
    assert 0.9 < lines[0]["cosine"] < 0.9999999


@pytest.mark.parametrize("name", ["openvino", "compile"])
def test_a_backend_of_cpus_is_refused_on_a_gpu(name: str) -> None:
    with pytest.raises(BackendUnavailable, match=f"{name} runs on a CPU, and the device is cuda:0. Set OCELLI_BACKEND"):
        choose_backend(name, torch.device("cuda", 0), 1)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_backend("openvino", CPU, 3) == Backend("openvino", 3)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendUnavailable, match=r"pip install .\[openvino\], or set OCELLI_BACKEND=eager"):
        choose_backend("openvino", CPU, 3)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_backend("compile", CPU, 1) == Backend("compile", 1)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BackendUnavailable, match="no-such-compiler is not there: apt-get install g"):
        choose_backend("compile", CPU, 1)


def test_missing_headers_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(BackendUnavailable, match="apt-get install python3-dev"):
        choose_backend("compile", CPU, 1)


@pytest.mark.parametrize(
    ("device", "backend", "sentence"),
    [("cuda:97", "eager", "set OCELLI_DEVICE to auto or cpu"), ("cpu", "openvino", "pip install .[openvino]")],
)
def test_what_this_machine_lacks_stops_the_start_with_a_sentence(
    device: str, backend: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(SystemExit) as stopped:
        DeviceModel.factory(ServiceSettings(device=device), backend=backend)
    assert stopped.value.code == EXIT_CONFIG
    assert sentence in capsys.readouterr().err


def test_one_variable_names_the_backend_of_all_services_that_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCELLI_BACKEND", "openvino")
    assert TowerSettings.load([]).backend == "openvino"
    assert unknown_variables(ServiceSettings, os.environ) == []


def test_openvino_reports_to_nobody() -> None:
    """Its import alone would write a client's id below the home, and send it off."""
    assert Backend("openvino").build(Patches(), EXAMPLES, torch.float32) is not None
    assert "openvino" in sys.modules
    assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]
