"""Which parts of a network learn, and what would be served of it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from services.finetune.errors import JobError
from services.finetune.towers.memory import Memory
from services.finetune.towers.pupil import Pupil
from tests.services.clip.clip_versions import random_clip

WHOLE = ("visual_projection", "text_projection", "token_embedding")
IDS = torch.tensor([[1, 5, 9]])


def pupil(rank: int | None = None, *frozen: str) -> Pupil:
    return Pupil(random_clip(), rank=rank, whole=WHOLE, frozen=frozen)


def said(network: Any) -> torch.Tensor:
    with torch.no_grad():
        vectors: torch.Tensor = network.get_text_features(IDS).pooler_output
    return vectors


def learnt(network: torch.nn.Module) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


def shaken(network: torch.nn.Module) -> None:
    """As if a step had moved all that learns."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))


def test_all_weights_learn_unless_told_otherwise() -> None:
    network = pupil().network
    assert learnt(network) == {name for name, _ in network.named_parameters()}


def test_frozen_parts_do_not_learn() -> None:
    assert not any(name.startswith("vision_model") for name in learnt(pupil(None, "vision_model").network))


def test_an_adapter_leaves_the_matrices_of_the_towers_alone() -> None:
    names = learnt(pupil(4).network)
    assert any("lora_A" in name for name in names)
    assert not any("base_layer" in name or "layer_norm" in name for name in names)
    assert any("token_embedding" in name for name in names)


def test_what_is_served_says_the_same_as_what_learns_and_has_no_adapter() -> None:
    taught = pupil(4)
    before = said(taught.network)
    shaken(taught.network)
    plain = taught.plain()
    assert torch.allclose(said(plain), said(taught.network), atol=1e-4)
    assert not torch.allclose(said(plain), before, atol=1e-2)
    assert plain.state_dict().keys() == random_clip().state_dict().keys()


def test_the_adapter_is_kept_as_peft_reads_it(tmp_path: Path) -> None:
    pupil(4).keep(tmp_path)
    kept = load_file(tmp_path / "adapter_model.safetensors")
    assert any("lora_A" in name for name in kept)
    assert not any("vision_model.embeddings.patch" in name for name in kept)


def test_without_an_adapter_none_is_kept(tmp_path: Path) -> None:
    pupil().keep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_freezing_beside_an_adapter_is_refused() -> None:
    with pytest.raises(JobError, match="Leave out --freeze"):
        pupil(4, "vision_model")


def test_a_memory_stays_what_the_network_was() -> None:
    taught = pupil()
    memory, before = Memory(taught.network), said(taught.network)
    shaken(taught.network)
    remembered = memory.on(torch.device("cpu"))
    assert torch.equal(said(remembered), before)
    assert learnt(remembered) == set()
