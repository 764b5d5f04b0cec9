"""Items -> features, on the CPU: labels as token ids, pictures as pixels, defaults filled in.

All that one request alone can get wrong is found here.
"""

from dataclasses import dataclass

from services.owlvit.phrases import Ids, tokenise
from services.owlvit.pictures import Picture, picture
from services.owlvit.postprocess import Ask
from services.owlvit.queries import Corners, ImageQuery, Item, Label, TextQuery
from services.owlvit.weights import State
from shared.settings import Limits

QUERY = Label("query")  # what is found by an example has no other name


@dataclass(frozen=True, slots=True)
class Example:
    """What an image query shows: its picture (None: the item's own), and the object's box in 0-1 of the input."""

    query: ImageQuery
    picture: Picture | None
    box: Corners | None


@dataclass(frozen=True, slots=True)
class Features:
    """An item ready for the network: its picture, and the phrases or the example to look for."""

    item: Item
    picture: Picture
    phrases: tuple[Ids, ...]
    example: Example | None
    ask: Ask

    @property
    def labels(self) -> tuple[Label, ...]:
        """What a query's number stands for in the answer."""
        return self.item.query.labels if isinstance(self.item.query, TextQuery) else (QUERY,)

    @property
    def cost(self) -> int:
        """Pixels that the backbone looks at."""
        pictures = 2 if self.example and self.example.picture else 1
        return pictures * self.picture.pixels[0].numel()


def featurise(item: Item, state: State, limits: Limits) -> Features:
    """The features of one item for the weights `state`. Raises the 4xx errors of labels, pictures and boxes."""
    query, example = item.query, None
    phrases: tuple[Ids, ...] = ()
    if isinstance(query, TextQuery):
        phrases = tokenise(query, state.tokenizer, template=state.defaults.template, longest=state.longest)
    own = picture(item.data, state.pixels, limits, field=item.field)
    if isinstance(query, ImageQuery):
        other = None
        if query.data is not item.data:
            other = picture(query.data, state.pixels, limits, field=query.field)
        box = (other or own).relative(query.box, field="query_box") if query.box else None
        example = Example(query, other, box)
    return Features(item, own, phrases, example, _ask(item, state))


def _ask(item: Item, state: State) -> Ask:
    """The item's parameters, with the version's defaults where it sets none."""
    given, defaults = item.parameters, state.defaults
    if isinstance(item.query, TextQuery):
        least = defaults.threshold if given.threshold is None else given.threshold
        thresholds = tuple(least if label.threshold is None else label.threshold for label in item.query.labels)
        iou = defaults.iou_threshold
    else:
        thresholds = (defaults.query_threshold if given.threshold is None else given.threshold,)
        iou = defaults.query_iou_threshold
    return Ask(thresholds, iou if given.iou_threshold is None else given.iou_threshold, given.max_detections)
