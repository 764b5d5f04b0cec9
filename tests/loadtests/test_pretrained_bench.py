"""CLIP and OWL-ViT in the benchmark: the random checkpoints, the bare pipelines beside them, and quick runs of both."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import CLIPModel

from loadtests import bench, pretrained
from loadtests.bare import Round
from loadtests.house import shipped
from loadtests.pictures import photographs
from loadtests.pipelines import PRETRAINED
from loadtests.report import Figure
from shared.cli import main

torch.set_num_threads(1)

TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
NARROW = {"text_config": TOWER, "vision_config": TOWER, "projection_dim": 32}


def quick(section: str) -> dict[str, Figure]:
    """The figures of a quick run, by name."""
    return {figure.name: figure for figure in bench.run(section, rounds=1, quick=True).figures}


def value(figure: Figure) -> float:
    assert figure.value is not None
    return figure.value


@pytest.mark.parametrize(("model", "write"), [("clip", pretrained.clip), ("owlvit", pretrained.owlvit)])
def test_our_command_imports_the_random_checkpoints(
    model: str, write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCELLI_STORE", f"file://{tmp_path}/store")
    assert main(["models", "import", str(write(tmp_path / "random", **NARROW)), "--as", model]) == 0
    assert list((tmp_path / "store/models" / model).glob("*/manifest.json"))


def test_the_bare_clip_gives_unit_vectors_that_depend_on_the_picture_alone() -> None:
    embed: Any = PRETRAINED["clip"](shipped("clip"))
    with torch.inference_mode():
        one, two = embed(photographs()[:2])
        assert np.allclose(embed(photographs()[1:2]), [two], atol=1e-5)
    assert np.isclose(np.linalg.norm(one), 1)
    assert not np.allclose(one, two, atol=1e-3)
    assert len(one) == CLIPModel.from_pretrained(shipped("clip")).config.projection_dim


def test_both_bare_owlvits_find_the_same(tmp_path: Path) -> None:
    folder = pretrained.owlvit(tmp_path, **NARROW)
    pipelines: list[Any] = [PRETRAINED[name](folder) for name in ("owlvit", "owlvit-forward")]
    with torch.inference_mode():
        found, expected = (pipeline(photographs()[:2]) for pipeline in pipelines)
    for one, other in zip(found, expected, strict=True):
        assert len(one["scores"]) > 10
        assert torch.allclose(one["scores"], other["scores"], atol=1e-5)
        assert torch.allclose(one["boxes"], other["boxes"], atol=1e-2)
        assert one["labels"].equal(other["labels"])


def test_a_bare_round_runs_at_least_one_batch_of_the_pipeline_that_is_named() -> None:
    seen: list[int] = []
    pipelines = {"first": seen.extend, "second": lambda jpegs: seen.append(len(jpegs))}
    done = Round(seconds=0, batch=3, pipeline="second").of(pipelines, iter(photographs()))
    assert seen == [3]
    assert done["pictures"] == 3
    assert done["seconds"] == done["median"] > 0


def test_a_quick_run_of_clip_compares_through_the_gateway() -> None:
    figures = quick("clip")
    served, bare = value(figures["CLIP, float32"]), value(figures["CLIP, bare"])
    assert value(figures["CLIP, float32 / bare"]) == served / bare
    assert value(figures["CLIP, bare batch of one, median"]) > 0
    assert figures["CLIP, one idle client, median - bare batch of one"].verdict in {"pass", "miss"}
    assert figures["CLIP, OpenVINO in float32 / bare"].verdict == "skipped"


def test_a_quick_run_of_owlvit_compares_with_both_bare_pipelines() -> None:
    figures = quick("owlvit")
    served = value(figures["OWL-ViT"])
    for ratio, bare in (
        ("OWL-ViT / bare, labels read once", "OWL-ViT, bare, labels read once"),
        ("OWL-ViT / transformers' forward", "OWL-ViT, transformers' forward"),
    ):
        assert value(figures[ratio]) == served / value(figures[bare])
