"""A Hugging Face directory becomes a version of the store.

screen the names -> choose the family by model_type -> stage settings, vocabulary and tensors, nothing else
-> read the staged copy: network (built on the meta device first), processor, tokenizer; do they fit? -> publish
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from shared.accel.pixels import read_pixel_config
from shared.accel.pretrained import WEIGHTS, Pretrained, read_pretrained
from shared.accel.screening import read_settings, screen
from shared.accel.staging import CONFIG, PROCESSORS, stage, weight_files, weights_sha256
from shared.accel.tokenizer import Tokenizer, read_tokenizer
from shared.serving.model import Identity, RefusedWeights
from shared.weights.errors import RefusedVersion
from shared.weights.manifest import Card, Made
from shared.weights.names import check, check_version
from shared.weights.store import Store
from shared.weights.tensors import tensors

# Older configs name 0, 1 and 2 for begin, padding and end whatever the vocabulary; its highest id is the end then, and
# transformers' text tower knows such a config by the 2.
STALE_END = 2


@dataclass(frozen=True, slots=True)
class Family:
    """The checkpoints that one service serves.

    name           of the service, and of its default model
    architectures  the class that is built for each `model_type`; never one that a file names
    reads_highest  whether the text tower looks for the end of a text at its highest id, whatever config.json says
    goes_on        whether texts are begun and never ended, as a language model reads them
    renames        what older checkpoints call the beginnings of tensor names
    """

    name: str
    architectures: Mapping[str, type[PreTrainedModel]]
    reads_highest: bool = False
    goes_on: bool = False
    renames: Mapping[str, str] = field(default_factory=dict)


def import_pretrained(
    store: Store, source: Path, *, families: Sequence[Family], model: str, version: str | None
) -> Identity:
    """Publish a Hugging Face directory as `model@version`; without an id it gets one from its type and its bytes.

    Raises `RefusedVersion` for what could run code, for a type that none of `families` serves, and unless network,
    processor and tokenizer are complete and fit together.
    """
    check(model, "model")
    if version is not None:
        check_version(version)
    with tempfile.TemporaryDirectory(prefix="ocelli-import-") as folder:
        staged = Path(folder)
        try:
            family = _choose(families, source, model=model)
            files = weight_files(source)
            stage(source, files, staged)
            pretrained = _read(staged, family)
        except RefusedWeights as error:
            raise RefusedVersion(str(error)) from error
        card = _card(files, pretrained, staged, model=model, version=version)
        return store.publish(staged, card)


def _choose(families: Sequence[Family], source: Path, *, model: str) -> Family:
    """The family that serves a directory, unless `model` is the name of another one."""
    if not (source / CONFIG).exists():
        raise RefusedWeights(
            f"{source} is no Hugging Face directory: it has no {CONFIG}. A torchvision state dict needs --architecture."
        )
    screen(source)
    kind = str(read_settings(source / CONFIG).get("model_type"))[:80]
    family = next((family for family in families if kind in family.architectures), None)
    if family is None:
        known = ", ".join(known for family in families for known in family.architectures)
        raise RefusedWeights(f"{CONFIG}: model_type {kind!r} cannot be imported; what can is {known}.")
    if model != family.name and model in {other.name for other in families}:
        raise RefusedWeights(f"{CONFIG}: model_type {kind!r} is not served as {model}; say --as {family.name}.")
    return family


def _read(staged: Path, family: Family) -> Pretrained:
    """The network of a staged directory, whose processor and tokenizer are its own."""
    pretrained = read_pretrained(staged, architectures=family.architectures, renames=family.renames)
    config: Any = pretrained.config
    pixels, tokenizer = read_pixel_config(staged), read_tokenizer(staged)
    side = config.vision_config.image_size
    if pixels.shape != (side, side):
        made = " x ".join(map(str, pixels.shape))
        raise RefusedWeights(f"The image processor makes {made} pixels; {CONFIG} tells of {side} x {side}.")
    _check_tokenizer(tokenizer, config.text_config, family)
    return pretrained


def _check_tokenizer(tokenizer: Tokenizer, text: Any, family: Family) -> None:
    if tokenizer.size > text.vocab_size:
        raise RefusedWeights(f"The tokenizer has {tokenizer.size} ids; {CONFIG} tells of {text.vocab_size}.")
    ids = tokenizer.ids("a")
    begin, end = ids[:1], ids[-1:]
    if family.goes_on:
        return
    if text.eos_token_id == STALE_END:
        named = (begin, (text.vocab_size - 1,))
    else:
        named = ((text.bos_token_id,), (text.eos_token_id,))
    if (begin, end) != named:
        raise RefusedWeights(
            f"The tokenizer puts a text between {_ids(begin, end)}; {CONFIG} tells of {_ids(*named)}. It is that of "
            "another checkpoint."
        )
    if family.reads_highest and end != (tokenizer.size - 1,):
        raise RefusedWeights("The tokenizer has ids above its end of a text, where this network looks for the end.")


def _ids(*marks: tuple[int, ...]) -> str:
    return " and ".join(str(mark[0]) if mark else "nothing" for mark in marks)


def _card(files: Sequence[Path], pretrained: Pretrained, staged: Path, *, model: str, version: str | None) -> Card:
    source, sha256 = files[0].parent.resolve().name, weights_sha256(files)
    dtypes = ", ".join(sorted({tensor.dtype for tensor in tensors(staged / WEIGHTS).values()}))
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return Card(
        model=model,
        version=version or f"{pretrained.config.model_type}-{sha256[:8]}",
        description=f"{type(pretrained.module).__name__} in {dtypes}, imported from {source}.",
        base=f"{source}/{files[0].name}{more} sha256:{sha256}",
        processor=next(name for name in PROCESSORS if (staged / name).exists()),
        made=Made(by="ocelli models import", command=f"ocelli models import {source} --as {model}"),
    )
