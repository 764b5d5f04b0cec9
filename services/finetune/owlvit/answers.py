"""What an OWL-ViT answers to the pictures of some examples, through the very model class that serves."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from services.finetune.data.examples import DetectionExample, Example, pictures
from services.owlvit.model import Item, Label, OwlVit, Parameters, TextQuery
from services.owlvit.weights import State
from shared.images.detections import Detections

BATCH = 16
FAINT = Parameters(threshold=0.02, max_detections=100)  # the least score that counts; as many as COCO counts


def served(version: Path) -> OwlVit:
    """The model that serves, with the weights of a version."""
    model = OwlVit(torch.device("cpu"))
    model.use(model.read(version))
    return model


def trial(state: State) -> OwlVit:
    """The model that serves, with weights that are in memory, which become its own."""
    model = OwlVit(torch.device("cpu"))
    model.use(state)
    return model


def answers(
    model: OwlVit, examples: Sequence[DetectionExample], names: Sequence[str]
) -> Iterator[tuple[DetectionExample, Detections]]:
    """Each example with what is found in it of all `names`, faint finds included."""
    for at in range(0, len(examples), BATCH):
        batch = examples[at : at + BATCH]
        items = [asked(example, names) for example in batch]
        yield from zip(batch, model.predict([model.preprocess(item) for item in items]), strict=True)


def asked(example: Example, names: Sequence[str]) -> Item:
    """The request for all `names` in the picture of an example."""
    query = TextQuery(tuple(Label(name, number) for number, name in enumerate(names)))
    return Item(pictures(example)[0].read(), query, FAINT)
