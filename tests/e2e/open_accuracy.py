"""How well the served CLIP and OWL-ViT understand colours and shapes: through HTTP, on held-out scenes.

    python -m tests.e2e.open_accuracy --url http://127.0.0.1:8000 --scenes 200

Eight (colour, shape) pairs were withheld from every picture and text of training: their figures show what is open about
the vocabulary. CLIP does not bind colours to shapes where a picture holds several, and nothing here asks it to.
"""

from collections.abc import Iterable

import httpx

from services.finetune.demo.owlvit_metrics import ALL, Counts
from services.finetune.demo.pictures import WITHHELD_ONLY, WORLD
from services.finetune.demo.words import WITHHELD
from tests.e2e import command
from tests.e2e.clip_accuracy import retrieval, zero_shot
from tests.e2e.owlvit_accuracy import alone, by_example, together


def report(client: httpx.Client, count: int) -> Iterable[str]:
    """One line per figure."""
    yield f"clip    zero-shot over 64 pairs {zero_shot(client, WORLD, count):.3f}"
    yield f"clip    the same, withheld pairs {zero_shot(client, WITHHELD_ONLY, count):.3f}"
    to_text, to_picture = retrieval(client, 200)
    yield f"clip    retrieval R@1 of 200: picture to text {to_text:.3f}, text to picture {to_picture:.3f}"
    figures = together(client, count)
    yield "owlvit  64 pairs asked at once: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    yield f"owlvit  each of {len(ALL)} queries alone: {_told(alone(client, count // 2, asked=ALL))}"
    yield f"owlvit  the withheld pairs alone: {_told(alone(client, count, asked=WITHHELD))}"
    first, counts = by_example(client, 200)
    yield f"owlvit  by example: best box right {first:.3f} of 200; {_told(counts)}"


def _told(counts: Counts) -> str:
    return f"precision {counts.precision:.3f}, recall {counts.recall:.3f}"


if __name__ == "__main__":
    command.run(__doc__, report, unit="scenes", count=200)
