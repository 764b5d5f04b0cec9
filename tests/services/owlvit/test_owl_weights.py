"""Version directories: what serves, what is refused, and the defaults and golden cases that a version may bring."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.owlvit.model import Item, OwlVit
from services.owlvit.weights import read
from shared.serving.model import RefusedWeights
from tests.services.owlvit.owls import CPU, FILES, LABELS, ask, detector, run, version


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(version("owlvit"), tmp_path / "v"))


def set_field(file: str, *path: str, value: Any) -> Callable[[Path], None]:
    """A change of one field of a JSON file of the version."""

    def change(folder: Path) -> None:
        fields = inner = json.loads((folder / file).read_text()) if (folder / file).exists() else {}
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        (folder / file).write_text(json.dumps(fields))

    return change


def remove(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


CHANGES: dict[str, Callable[[Path], None]] = {
    "another architecture": set_field("config.json", "model_type", value="clip"),
    "code of its own": set_field("config.json", "auto_map", value={"AutoModel": "x.py"}),
    "fewer positions than the weights have": set_field(
        "config.json", "text_config", "max_position_embeddings", value=8
    ),
    "pictures of another size": set_field("preprocessor_config.json", "size", value={"height": 64, "width": 64}),
    "a vocabulary smaller than the tokenizer's": set_field("config.json", "text_config", "vocab_size", value=100),
    "no weights": remove("model.safetensors"),
    "no config": remove("config.json"),
    "no tokenizer": remove("tokenizer.json"),
    "a template without a place": set_field("serving.json", "template", value="a photo"),
    "an unknown default": set_field("serving.json", "limit", value=5),
    "a default out of range": set_field("serving.json", "threshold", value=2),
    "a golden case without labels": set_field("golden.json", "labels", value=[]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_version_that_does_not_fit_together_is_refused_with_a_sentence(
    copy: Path, change: Callable[..., None]
) -> None:
    change(copy)
    with pytest.raises(RefusedWeights) as refused:
        read(copy)
    assert str(refused.value).endswith(".")
    assert str(copy) not in str(refused.value)


def test_a_tokenizer_whose_end_is_not_its_highest_id_is_refused(copy: Path) -> None:
    """The network takes a text's vector at its highest id; anywhere else it would be that of some letter."""
    set_field("tokenizer.json", "post_processor", "sep", value=["<|endoftext|>", 5])(copy)
    with pytest.raises(RefusedWeights, match="highest id"):
        read(copy)


def test_a_version_may_bring_its_own_defaults(copy: Path) -> None:
    (copy / "serving.json").write_text('{"template": "{}", "threshold": 0.4, "iou_threshold": 0.5}')
    owl = OwlVit(CPU)
    owl.use(owl.read(copy))
    ask_ = owl.preprocess(Item(FILES[0], ask("cat", template=None))).ask
    assert (ask_.thresholds, ask_.iou) == ((0.4,), 0.5)
    plain = detector().preprocess(Item(FILES[0], ask("cat", template="{}")))
    assert owl.preprocess(Item(FILES[0], ask("cat", template=None))).phrases == plain.phrases


def test_golden_cases_hold_for_their_weights_and_for_no_others(copy: Path) -> None:
    (answer,) = run(detector(), FILES[:1], ask(*LABELS))
    sure = [one for one in answer.items if one.score > 0.5]
    objects = [{"box": one.box, "label": one.label, "score": one.score} for one in sure]
    (copy / "golden").mkdir()
    (copy / "golden" / "0.png").write_bytes(FILES[0])
    golden = [{"image": "golden/0.png", "labels": LABELS, "threshold": 0.5, "objects": objects}]
    (copy / "golden.json").write_text(json.dumps(golden))

    owl = OwlVit(CPU)
    state = owl.read(copy)
    owl.use(state)
    (case,) = owl.golden()
    assert case.check(owl.predict([owl.preprocess(case.item)])[0]) is None

    other = detector(seed=1)
    assert case.check(other.predict([other.preprocess(case.item)])[0]) is not None
    assert case.check(run(owl, FILES[1:2], ask(*LABELS))[0]) is not None
