"""CLIP against transformers' own functions on the same checkpoint, and as the serving core drives it."""

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

from services.clip import towers
from services.clip.golden import COSINE
from services.clip.items import Embedding, Item, Vector
from services.clip.model import Clip
from services.clip.towers import Towers
from services.clip.weights import State
from shared.accel.pixels import PixelConfig, read_pixel_config
from shared.errors import InvalidRequest, OcelliError
from shared.serving.batch import Lane
from shared.serving.metrics import CACHE_REQUESTS
from shared.serving.model import DeviceOutOfMemory, RefusedWeights
from shared.serving.queue import BatchQueue
from shared.settings import Limits, ServiceSettings
from tests.services.clip.clip_versions import change_json, picture, random_clip, seal, tokenizer, write_version
from tests.shared.serving.trials import tried

CPU = torch.device("cpu")
TEXTS = ["a red circle", "A  Blue\tstar", "x", "pink crosses!", "größer", "two hats", "é"]
PICTURES = [picture(seed, 60 + 17 * seed, 50 + 11 * (seed % 3)) for seed in range(6)]
MIXED = [Item(text=TEXTS[0]), Item(data=PICTURES[0]), Item(data=PICTURES[1]), Item(text=TEXTS[1]), Item(text=TEXTS[0])]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_version(tmp_path_factory.mktemp("clip"), random_clip(), name="clip-test")


def serving(version: Path, dtype: torch.dtype = torch.float32, **options: Any) -> Clip:
    clip = Clip(CPU, dtype, **options)
    clip.use(clip.read(version))
    return clip


@pytest.fixture
def clip(version: Path) -> Clip:
    return serving(version)


def embed(clip: Clip, items: Sequence[Item]) -> Sequence[Embedding]:
    return clip.predict([clip.preprocess(item) for item in items])


def vectors(clip: Clip, items: Sequence[Item]) -> Vector:
    return np.stack([one.vector for one in embed(clip, items)])


def texts(*given: str) -> list[Item]:
    return [Item(text=text) for text in given]


def theirs(version: Path) -> tuple[Vector, Vector]:
    """The vectors of `TEXTS` and `PICTURES` by transformers' model and processor."""
    model: Any = CLIPModel.from_pretrained(version, dtype=torch.float32)
    processor: Any = CLIPProcessor.from_pretrained(version)
    images = [Image.open(io.BytesIO(data)) for data in PICTURES]
    inputs = processor(text=TEXTS, images=images, padding=True, return_tensors="pt")
    with torch.inference_mode():
        said = model.get_text_features(inputs["input_ids"], inputs["attention_mask"]).pooler_output
        seen = model.get_image_features(inputs["pixel_values"]).pooler_output
    return F.normalize(said, dim=-1).numpy(), F.normalize(seen, dim=-1).numpy()


def cosine(one: Vector, other: Vector) -> float:
    return float(F.cosine_similarity(torch.from_numpy(one), torch.from_numpy(other)).min())


def assert_same(mine: Vector, other: Vector, least: float = 0.99999) -> None:
    """Cosines, and those after the mean vector is taken out, in which all inputs agree."""
    assert cosine(mine, other) >= least
    assert cosine(mine - other.mean(0), other - other.mean(0)) >= least


@contextmanager
def counting(clip: Clip) -> Iterator[dict[str, list[int]]]:
    """How many inputs each run of a tower gets."""
    module: Any = clip.serving.state.module
    runs: dict[str, list[int]] = {"text": [], "vision": []}

    def count(name: str) -> Any:
        return lambda _, args, kwargs, __: runs[name].append(len(next(iter((*args, *kwargs.values())))))

    hooks = [
        module.text_model.register_forward_hook(count("text"), with_kwargs=True),
        module.vision_model.register_forward_hook(count("vision"), with_kwargs=True),
    ]
    try:
        yield runs
    finally:
        for hook in hooks:
            hook.remove()


def test_vectors_are_those_of_transformers(clip: Clip, version: Path) -> None:
    said, seen = theirs(version)
    assert_same(vectors(clip, texts(*TEXTS)), said)
    assert_same(vectors(clip, [Item(data=data) for data in PICTURES]), seen)


def test_a_text_is_read_at_its_highest_id_where_the_config_is_an_old_one(tmp_path: Path) -> None:
    old: Any = random_clip()
    old.config.text_config.eos_token_id = 2
    version = write_version(tmp_path, old)
    said, _ = theirs(version)
    assert_same(vectors(serving(version), texts(*TEXTS)), said)


def test_vectors_have_length_one_and_tell_their_space_and_tokens(clip: Clip) -> None:
    answers = embed(clip, MIXED)
    for one in answers:
        assert (one.vector.dtype.name, one.vector.shape, one.space) == ("float32", (clip.dimensions,), clip.space)
        assert np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-6)
    assert [one.tokens for one in answers] == [12, 0, 0, 11, 12]


def test_a_batch_of_both_kinds_equals_each_item_alone(clip: Clip, version: Path) -> None:
    alone = np.concatenate([vectors(serving(version), [item]) for item in MIXED])
    assert np.abs(vectors(clip, MIXED) - alone).max() < 1e-6


def test_a_tower_that_nothing_needs_does_not_run(clip: Clip) -> None:
    with counting(clip) as runs:
        embed(clip, texts("one", "two"))
        assert runs == {"text": [2], "vision": []}
        embed(clip, [Item(data=PICTURES[0])])
        assert runs == {"text": [2], "vision": [1]}


def test_each_text_is_read_once(clip: Clip) -> None:
    with counting(clip) as runs:
        first = vectors(clip, texts("red", "blue", "red"))
        again = vectors(clip, texts("BLUE ", "red", "green"))
    assert runs["text"] == [2, 1]
    assert np.array_equal(first[:2], again[1::-1])


def test_the_cache_counts_its_hits_under_the_name_of_the_model(tmp_path: Path) -> None:
    clip = serving(write_version(tmp_path, random_clip(), name="counted-clip"))
    for _ in range(3):
        embed(clip, texts("red"))
    counted = {
        sample.labels["outcome"]: sample.value
        for metric in CACHE_REQUESTS.collect()
        for sample in metric.samples
        if sample.labels["model"] == "counted-clip" and sample.name.endswith("_total")
    }
    assert counted == {"hit": 2, "miss": 1}


def test_a_text_that_is_too_long_is_refused_with_both_numbers(clip: Clip) -> None:
    assert embed(clip, texts("x" * 22))[0].tokens == 24
    with pytest.raises(InvalidRequest) as refusal:
        clip.preprocess(Item(text="x" * 23, field="input[7]"))
    assert (refusal.value.code, refusal.value.param) == ("text_too_long", "input[7]")
    assert "25 tokens" in refusal.value.message
    assert "at most 24" in refusal.value.message


def test_a_bad_picture_is_refused_by_the_name_of_its_field(clip: Clip) -> None:
    for data, status in ((b"", 400), (b"text", 415), (PICTURES[0][:60], 400)):
        with pytest.raises(OcelliError) as refusal:
            clip.preprocess(Item(data=data, field="input[2].image"))
        assert (refusal.value.status, refusal.value.param) == (status, "input[2].image")


def test_limits_hold_for_pictures(version: Path) -> None:
    clip = serving(version, limits=Limits(image_pixels=100))
    with pytest.raises(OcelliError) as refusal:
        clip.preprocess(Item(data=PICTURES[0]))
    assert refusal.value.status == 413


def test_a_picture_costs_its_pixels_and_a_token_a_patch(clip: Clip) -> None:
    assert clip.cost(clip.preprocess(Item(data=PICTURES[0]))) == 64 * 64
    assert clip.cost(clip.preprocess(Item(text="red"))) == 5 * 16 * 16


def test_no_vector_outlives_its_weights(clip: Clip, tmp_path: Path) -> None:
    before = vectors(clip, texts("red"))
    clip.use(clip.read(write_version(tmp_path, random_clip(seed=5))))
    assert cosine(before, vectors(clip, texts("red"))) < 0.9


def test_the_space_is_that_of_the_bytes_and_the_same_wherever_they_lie(
    clip: Clip, version: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(version, tmp_path / "copy")
    assert clip.read(copy).space == clip.space
    assert clip.space.startswith("space:")
    assert len(clip.space) == len("space:") + 16
    change_json(copy / "processor_config.json", note="another file, another version")
    seal(copy)
    assert clip.read(copy).space != clip.space


def test_the_model_describes_itself(clip: Clip, version: Path) -> None:
    assert clip.describe() == {
        "capabilities": ["embed", "classify"],
        "embedding_space": clip.space,
        "dimensions": 32,
        "matryoshka": False,
        "context_length": 24,
        "device": "cpu",
        "dtype": "float32",
        "backend": "eager",
    }
    assert clip.logit_scale == pytest.approx(np.exp(CLIPModel.from_pretrained(version).logit_scale.item()))


def test_weights_that_may_be_cut_say_so(tmp_path: Path) -> None:
    assert serving(write_version(tmp_path, random_clip(), matryoshka_dims=[8, 16, 32])).matryoshka


def goldens(version: Path) -> list[dict[str, Any]]:
    """Cases as the job writes them, with the vectors of transformers."""
    (version / "golden").mkdir()
    said, seen = theirs(version)
    cases: list[dict[str, Any]] = [{"text": t, "embedding": v.tolist()} for t, v in zip(TEXTS, said, strict=True)]
    for number, (data, vector) in enumerate(zip(PICTURES, seen, strict=True)):
        (version / f"golden/{number}.png").write_bytes(data)
        cases.append({"image": f"golden/{number}.png", "embedding": vector.tolist()})
    return cases


def lane() -> Lane:
    return Lane("clip-golden", lambda: Clip(CPU), BatchQueue(limit=4, max_items=4, max_cost=10**9))


def test_weights_serve_after_their_golden_cases_only(tmp_path: Path) -> None:
    version = write_version(tmp_path, random_clip())
    cases = goldens(version)
    (version / "golden.json").write_text(json.dumps(cases))
    seal(version)
    place = lane()
    place.take(tried(place, version))
    good = place.weights
    assert good is not None and len(good.model.golden()) == len(TEXTS) + len(PICTURES)

    cases[8]["embedding"][0] += 0.1
    (version / "golden.json").write_text(json.dumps(cases))
    seal(version)
    with pytest.raises(RefusedWeights, match=f"golden case 8 of clip-golden: the cosine .* below {COSINE}"):
        tried(place, version)
    assert place.weights is good


@pytest.mark.parametrize(
    "golden",
    [
        "{}",
        "{",
        '[{"embedding": [1]}]',
        '[{"text": "a", "image": "golden/0.png", "embedding": [1]}]',
        '[{"image": "../0.png", "embedding": [1]}]',
        '[{"image": "golden/0.png", "embedding": [1]}]',
        '[{"text": "a", "embedding": ["NaN"]}]',
    ],
)
def test_golden_cases_that_are_none_are_refused(golden: str, version: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(version, tmp_path / "copy")
    (copy / "golden.json").write_text(golden)
    seal(copy)
    with pytest.raises(RefusedWeights, match=r"golden\.json|0\.png"):
        Clip(CPU).read(copy)


def test_a_golden_vector_of_another_length_is_wrong(clip: Clip, version: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(version, tmp_path / "copy")
    (copy / "golden.json").write_text('[{"text": "a", "embedding": [1, 0]}, {"text": "a", "embedding": [0, 0]}]')
    seal(copy)
    clip.use(clip.read(copy))
    (answer,) = embed(clip, texts("a"))
    assert clip.golden()[0].check(answer) == "the vector has 32 numbers, 2 were expected"
    assert clip.golden()[1].check(Embedding(np.zeros(2, np.float32), 1, "")) is not None


@pytest.mark.parametrize(
    ("file", "fields", "sentence"),
    [
        ("processor_config.json", {"image_processor": {"size": 32, "crop_size": 32}}, "reads 64 x 64"),
        ("config.json", {"model_type": "siglip"}, "'siglip' is not served here"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    file: str, fields: dict[str, Any], sentence: str, version: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(version, tmp_path / "copy")
    change_json(copy / file, **fields)
    with pytest.raises(RefusedWeights, match=sentence):
        Clip(CPU).read(copy)


def test_a_tokenizer_of_another_network_is_refused(version: Path, tmp_path: Path) -> None:
    larger, unmarked = (shutil.copytree(version, tmp_path / name) for name in ("larger", "unmarked"))
    extended = tokenizer()
    extended.add_tokens(["new"])
    extended.save_pretrained(larger)
    with pytest.raises(RefusedWeights, match="515 tokens, and the network knows 514"):
        Clip(CPU).read(larger)
    change_json(unmarked / "tokenizer.json", post_processor=None)
    with pytest.raises(RefusedWeights, match="does not end a text with 513"):
        Clip(CPU).read(unmarked)


def test_a_version_without_a_manifest_has_no_space(version: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(version, tmp_path / "copy")
    (copy / "manifest.json").unlink()
    with pytest.raises(RefusedWeights, match=r"no manifest\.json"):
        Clip(CPU).read(copy)


def test_bfloat16_serves_where_it_agrees_with_float32(clip: Clip, version: Path) -> None:
    narrow = serving(version, torch.bfloat16)
    assert narrow.describe()["dtype"] == "bfloat16"
    assert narrow.space == clip.space
    assert cosine(vectors(narrow, MIXED), vectors(clip, MIXED)) >= 0.999


def test_float32_serves_where_bfloat16_does_not_agree(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(towers, "AGREEMENT", 1 + 1e-6)
    assert serving(version, torch.bfloat16).describe()["dtype"] == "float32"


def test_the_example_is_a_picture_that_is_answered(clip: Clip) -> None:
    assert embed(clip, [clip.example()])[0].tokens == 0
    assert clip.warm_sizes(8) == (1,)
    assert clip.memory() == {}
    clip.pulse()


def test_errors_of_the_device_are_told_from_those_of_a_batch(clip: Clip) -> None:
    assert isinstance(clip.classify(torch.OutOfMemoryError("out")), DeviceOutOfMemory)
    error = ValueError("a batch's own")
    assert clip.classify(error) is error


def test_a_clip_without_weights_says_so() -> None:
    with pytest.raises(RefusedWeights, match="no weights yet"):
        _ = Clip(CPU).space


def test_the_factory_follows_the_settings(version: Path) -> None:
    clip = Clip.factory(ServiceSettings(device="cpu", dtype="float32", limits=Limits(image_side=7)))()
    assert (clip.device, clip.dtype, clip.limits.image_side) == (CPU, torch.float32, 7)
    state: State = clip.read(version)
    assert state.dimensions == 32


def test_a_vit_b_32_answers_as_transformers(tmp_path: Path) -> None:
    base: Any = random_clip(text={"eos_token_id": tokenizer().eos_token_id}, vision={}, projection_dim=512)
    sides = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}
    clip = serving(write_version(tmp_path, base.half(), sides=sides))
    base.float()
    pixels = CLIPImageProcessor()(Image.open(io.BytesIO(PICTURES[0])), return_tensors="pt").pixel_values
    with torch.inference_mode():
        said = base.get_text_features(torch.tensor([tokenizer()(TEXTS[0])["input_ids"]])).pooler_output
        seen = base.get_image_features(pixels).pooler_output
    assert cosine(vectors(clip, texts(TEXTS[0])), said.numpy()) >= 0.99999
    assert cosine(vectors(clip, [Item(data=PICTURES[0])]), seen.numpy()) >= 0.99999


LARGE = {  # openai/clip-vit-large-patch14
    "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
    "vision_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "patch_size": 14,
    },
    "projection_dim": 768,
}


@pytest.mark.parametrize(("sizes", "dimensions", "millions"), [({}, 512, 151), (LARGE, 768, 428)])
def test_the_towers_take_networks_of_full_size(
    sizes: dict[str, Any], dimensions: int, millions: int, tmp_path: Path
) -> None:
    """On the meta device: shapes alone, no memory and no arithmetic."""
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "CLIPImageProcessor"}')
    pixels: PixelConfig = read_pixel_config(tmp_path)
    meta = torch.device("meta")
    with meta:
        network = CLIPModel(CLIPConfig.from_dict(sizes))
    assert round(sum(weight.numel() for weight in network.parameters()) / 1e6) == millions
    both = Towers(network, meta, pixels)
    assert both.see([torch.zeros(3, *pixels.shape, dtype=torch.uint8)] * 2).shape == (2, dimensions)
    assert both.read([(49406, 320, 49407), (49406, 49407)]).shape == (2, dimensions)
