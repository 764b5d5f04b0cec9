import pytest
import torch
from torch import Tensor, nn

from services.detection.architectures import GAP, DetectorConfig
from services.finetune.detection.growth import extended, grow
from tests.services.detection.random_networks import config, random_network

OLD = 8
TINY = ("tiny-ssd", "tiny-faster-rcnn", "tiny-mask-rcnn")


def grown(name: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    base = config(name, OLD)
    state = random_network(base).state_dict()
    return state, grow(state, extended(base, ["new", "newer"]), base.labels).state_dict()


def by_class(name: str, tensor: Tensor, classes: int) -> Tensor:
    """[anchors, classes, rows, …]: an R-CNN has four offsets for each class, SSD a score for each anchor."""
    return tensor.view(-1, classes, 4 if "bbox_pred" in name else 1, *tensor.shape[1:])


def test_labels_are_added_behind_those_that_are_known() -> None:
    known = DetectorConfig(architecture="tiny-ssd", labels=("b", GAP, "a"))
    assert extended(known, ["z", "a", "c", "z"]).labels == ("b", GAP, "a", "c", "z")
    assert extended(known, ["a"]) == known


@pytest.mark.parametrize("name", [*TINY, "ssdlite320_mobilenet_v3_large"])
def test_what_the_base_knows_stays_and_a_new_class_starts_as_the_mean_of_the_old_objects(name: str) -> None:
    before, after = grown(name)
    assert before.keys() == after.keys()
    layers = [part for part in before if before[part].shape != after[part].shape]

    assert layers
    for layer in layers:
        old, new = by_class(layer, before[layer], OLD + 1), by_class(layer, after[layer], OLD + 3)
        assert torch.equal(new[:, : OLD + 1], old)
        mean, spread = old[:, 1:].mean(1, keepdim=True), old[:, 1:].std()
        assert (new[:, OLD + 1 :] - mean).abs().max() <= 0.15 * spread
        assert spread == 0 or not torch.equal(new[:, OLD + 1], new[:, OLD + 2])
    assert all(torch.equal(before[part], after[part]) for part in before if part not in layers)


def test_old_classes_are_scored_as_before() -> None:
    base = config("tiny-ssd", OLD)
    old = random_network(base)
    new = grow(old.state_dict(), extended(base, ["new"]), base.labels).eval()
    features = [torch.randn(1, channels, 4, 4) for channels in old.backbone.out_channels]

    def logits(network: nn.Module) -> Tensor:
        with torch.no_grad():
            found: Tensor = network.head(features)["cls_logits"]  # type: ignore[operator]
        return found

    assert torch.equal(logits(new)[..., : OLD + 1], logits(old))


def test_ids_without_a_name_play_no_part_in_the_mean() -> None:
    base = DetectorConfig(architecture="tiny-faster-rcnn", labels=("a", GAP, "b"))
    state = random_network(base).state_dict()
    state["roi_heads.box_predictor.cls_score.bias"] = torch.tensor([5.0, 1.0, 100.0, 3.0])
    bias = grow(state, extended(base, ["c"]), base.labels).state_dict()["roi_heads.box_predictor.cls_score.bias"]

    assert bias[-1].item() == pytest.approx(2.0, abs=0.2)
