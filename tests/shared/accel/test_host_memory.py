"""How much memory can still be taken, as the system's own files tell it."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from services.clip.model import Clip
from shared.accel.host_memory import available


def files(folder: Path, *, most: str, anon: int) -> Path:
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.stat").write_text(f"anon {anon}\nfile 5000\n")
    return folder


def test_the_scarcer_of_machine_and_container_counts_and_cached_files_do_not(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:       4 kB\n")
    assert available(meminfo, files(tmp_path, most="9000", anon=6000)) == 3000
    assert available(meminfo, files(tmp_path, most="9000", anon=1000)) == 4096
    assert available(meminfo, files(tmp_path, most="max", anon=6000)) == 4096
    assert available(meminfo, tmp_path / "none") == 4096
    assert available(tmp_path / "none", tmp_path / "none") is None


def test_this_machine_tells() -> None:
    assert (available() or 0) > 2**20


def test_a_version_demands_what_its_tensors_take_in_the_number_type_that_serves(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(100, 10, dtype=torch.float16), "b": torch.zeros(7)}, tmp_path / "model.safetensors")
    assert Clip(torch.device("cpu")).demand(tmp_path) == int(1.2 * 1007 * 4)
    assert Clip(torch.device("cpu"), torch.bfloat16).demand(tmp_path) == int(1.2 * 1007 * 2)
