"""Chat on a GPU in the benchmark: what a step must read, what is said without a GPU, a quick run on what is here."""

from typing import Any

import pytest
import torch

from loadtests import bench
from loadtests.chat_gpu import SEVEN, bandwidth, step_bytes


def test_the_large_network_is_that_of_llava_15_7b() -> None:
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    config: Any = LlavaConfig(**SEVEN, image_token_index=3)
    with torch.device("meta"):
        network: Any = LlavaForConditionalGeneration(config)
    assert sum(each.numel() for each in network.parameters()) == pytest.approx(7.06e9, rel=0.01)
    assert (config.vision_config.image_size // config.vision_config.patch_size) ** 2 == 576


def test_a_step_reads_13_gb_of_weights_and_half_a_mebibyte_for_each_token_of_its_context() -> None:
    assert step_bytes(SEVEN, 0, 0, size=2) == pytest.approx(13.2e9, rel=0.01)
    assert step_bytes(SEVEN, 2, 100, size=2) - step_bytes(SEVEN, 0, 0, size=2) == 200 * 2**19


def test_heads_that_share_keys_leave_less_to_read() -> None:
    text = {**SEVEN["text_config"], "num_key_value_heads": 8}
    whole, shared = (step_bytes({"text_config": each}, 1, 1000, size=2) for each in (SEVEN["text_config"], text))
    assert shared < whole - 300_000_000


def test_memory_delivers_what_memory_can() -> None:
    assert 1e8 < bandwidth("cpu") < 1e13


def test_without_a_gpu_it_says_that_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (figure,) = bench.run("chat-gpu", rounds=1, quick=False).figures
    assert figure.verdict == "skipped" and "needs a CUDA GPU" in figure.note


def test_a_quick_run_shows_every_figure_on_the_device_that_is_here() -> None:
    figures = bench.run("chat-gpu", rounds=1, quick=True).figures
    assert min(figure.value or 0.0 for figure in figures) > 0
    assert sum(figure.goal is not None for figure in figures) == 4
