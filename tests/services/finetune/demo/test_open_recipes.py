"""The recipes of the demo OWL-ViT and CLIP from end to end in a few steps, and what the shipped weights answer."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.ops import box_iou

from services.finetune.demo import clip, clip_metrics, one_shot, open_examples, owlvit, owlvit_metrics, release
from services.finetune.demo.clip_training import contrast
from services.finetune.demo.owlvit_golden import detect
from services.finetune.demo.owlvit_training import Schedule
from services.finetune.demo.pictures import WITHHELD_ONLY
from services.finetune.demo.words import PAIRS, Query, prompt
from shared.accel.checkpoint import read_state
from shared.weights.errors import VersionExists
from shared.weights.store import Store, Version

ROOT = Path(__file__).resolve().parents[4]
SHIPPED = Store(str(ROOT / "models"))
SEED = 9_100_000  # of scenes that neither the training nor the evaluation of the manifest saw
SHORT = Schedule(tower=2, texts=2, owlvit=2, clip=2)
OWLVIT = owlvit.Recipe(schedule=SHORT, scenes=4, trials=1)
CLIP = clip.Recipe(schedule=SHORT, pictures=4)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, work: Path) -> Store:
    """A store in which both recipes ran, for two steps of every stage."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    owlvit.make(OWLVIT, store, work)
    clip.make(CLIP, store, work)
    return store


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Version]:
    cache = tmp_path_factory.mktemp("cache")
    return {model: SHIPPED.fetch(f"{model}@{release.VERSION}", cache) for model in ("owlvit", "clip")}


@pytest.mark.parametrize("model", ["owlvit", "clip"])
def test_a_few_steps_go_from_scenes_to_a_champion_in_hugging_face_layout(
    store: Store, model: str, tmp_path: Path
) -> None:
    version = store.fetch(model, tmp_path)
    state = read_state(version.path / "model.safetensors")

    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float16}
    assert {path.name for path in version.path.iterdir()} >= {
        "config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "golden.json",
    }
    assert version.manifest.made.parameters["tower"] == 2
    assert version.manifest.metrics


def test_the_clip_starts_from_the_detector_that_lies_in_the_working_folder(store: Store, work: Path) -> None:
    assert sorted(path.name.split("-")[0] for path in work.glob("*.safetensors")) == ["owlvit", "tower"]


@pytest.mark.parametrize(("model", "recipe"), [("owlvit", OWLVIT), ("clip", CLIP)])
def test_a_version_that_exists_is_refused_before_any_work(
    store: Store, tmp_path: Path, model: str, recipe: owlvit.Recipe | clip.Recipe
) -> None:
    endless = replace(recipe, schedule=Schedule(tower=10**9))
    with pytest.raises(VersionExists, match="name another --version"):
        if isinstance(endless, clip.Recipe):
            clip.make(endless, store, tmp_path)
        else:
            owlvit.make(endless, store, tmp_path)


def test_captions_of_the_same_things_are_right_answers_to_each_other() -> None:
    same = torch.tensor([[9.0, 9.0, 0.0], [9.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    names = ["a red circle", "a red circle", "a blue star"]

    assert contrast(same, names) < contrast(9 * torch.eye(3), names)
    assert contrast(same.roll(1, dims=1), names) > contrast(same, names) + 1


@pytest.mark.parametrize("model", ["owlvit", "clip"])
def test_the_shipped_files_are_small(shipped: dict[str, Version], model: str) -> None:
    assert (shipped[model].path / "model.safetensors").stat().st_size < 4_000_000
    assert shipped[model].manifest.size < 4_000_000


def test_the_shipped_owlvit_finds_pairs_in_fresh_scenes_that_it_never_saw_or_read(shipped: dict[str, Version]) -> None:
    model, processor = owlvit.load(shipped["owlvit"].path)
    figures = owlvit_metrics.evaluate(model, processor, seed=SEED, scenes=40)

    assert figures["map_50"] > 0.93
    assert figures["ap_50_withheld"] > 0.85
    assert min(figures["precision"], figures["recall"]) > 0.9


def test_the_shipped_owlvit_finds_the_like_of_one_thing(shipped: dict[str, Version]) -> None:
    model, _ = owlvit.load(shipped["owlvit"].path)
    assert one_shot.accuracy(model, seed=SEED, count=20) >= 0.85


def test_the_shipped_owlvit_answers_its_golden_cases(shipped: dict[str, Version]) -> None:
    folder = shipped["owlvit"].path
    model, processor = owlvit.load(folder)
    cases = json.loads((folder / "golden.json").read_text())

    assert len(cases) == 3
    for case in cases:
        with Image.open(folder / case["image"]) as picture:
            found = detect(
                model, processor, picture=picture.convert("RGB"), labels=case["labels"], threshold=case["threshold"]
            )
        assert [one["label"] for one in found] == [one["label"] for one in case["objects"]]
        boxes, expected = (torch.tensor([one["box"] for one in some]) for some in (found, case["objects"]))
        assert box_iou(boxes, expected).diagonal().min() > 0.98


def test_the_shipped_owlvit_finds_all_that_the_example_shows(shipped: dict[str, Version]) -> None:
    model, processor = owlvit.load(shipped["owlvit"].path)
    labels = [prompt(pair) for pair in PAIRS]
    threshold = json.loads((shipped["owlvit"].path / "serving.json").read_text())["threshold"]
    with Image.open(ROOT / "examples" / "shapes.jpg") as picture:
        found = detect(model, processor, picture=picture, labels=labels, threshold=threshold)

    shown = [prompt(Query(thing.colour, thing.shape)) for thing in open_examples.shapes().things]
    assert {one["label"] for one in found} == set(shown)  # two patches may both tell of one thing


def test_the_shipped_clip_names_pairs_that_it_never_saw_or_read(shipped: dict[str, Version]) -> None:
    model, processor = clip.load(shipped["clip"].path)
    with torch.inference_mode():
        tokens = processor(text=[prompt(pair) for pair in PAIRS], padding=True, truncation=True, return_tensors="pt")
        prompts = F.normalize(model.get_text_features(**tokens).pooler_output, dim=-1)
        world = replace(WITHHELD_ONLY, things=(1, 1))
        assert clip_metrics.zero_shot(model, prompts, world=world, seed=SEED, pictures=60) > 0.9


def test_the_shipped_clip_finds_the_caption_of_a_picture(shipped: dict[str, Version]) -> None:
    model, processor = clip.load(shipped["clip"].path)
    with torch.inference_mode():
        assert min(clip_metrics.retrieval(model, processor.tokenizer, seed=SEED)) > 0.9


def test_the_shipped_clip_answers_its_golden_cases(shipped: dict[str, Version]) -> None:
    folder = shipped["clip"].path
    model, processor = clip.load(folder)
    cases = json.loads((folder / "golden.json").read_text())

    assert [set(case) for case in cases] == 6 * [{"text", "embedding"}] + 3 * [{"image", "embedding"}]
    for case in cases:
        with torch.inference_mode():
            if "text" in case:
                features = model.get_text_features(**processor(text=case["text"], return_tensors="pt"))
            else:
                with Image.open(folder / case["image"]) as picture:
                    features = model.get_image_features(**processor(images=picture, return_tensors="pt"))
        cosine = F.cosine_similarity(features.pooler_output[0], torch.tensor(case["embedding"]), dim=0)
        assert cosine > 0.9999


def test_the_example_query_shows_the_thing_it_says(shipped: dict[str, Version]) -> None:
    model, processor = clip.load(shipped["clip"].path)
    like = open_examples.wanted()
    with Image.open(ROOT / "examples" / "query.png") as picture, torch.inference_mode():
        inputs = processor(
            text=[prompt(pair) for pair in PAIRS],
            images=picture.convert("RGB"),
            padding=True,
            truncation=True,
            return_tensors="pt",
        )
        best = int(model(**inputs).logits_per_image.argmax())
    assert PAIRS[best] == Query(like.colour, like.shape)
