"""OWL-ViT through the gateway against bare pipelines: full size, 20 labels, JPEGs in, detections out."""

from collections.abc import Iterator
from urllib.parse import urlencode

from loadtests import pretrained
from loadtests.house import Weights, serve
from loadtests.load import Load, rate
from loadtests.opponent import Opponent
from loadtests.pictures import photographs
from loadtests.processes import Bench
from loadtests.questions import LABELS, THRESHOLD
from loadtests.report import Figure, Goal
from loadtests.rounds import interleave, ratios

CLIENTS = 8
CACHED, FORWARD = Goal(1.0), Goal(1.15)


def measure(bench: Bench) -> Iterator[Figure]:
    """Pictures per second as a share of two bare pipelines': labels read once, and labels read for every picture."""
    weights = Weights.of(bench, "owlvit", pretrained.owlvit)
    bare = Opponent.start(bench, "owlvit", "owlvit-forward", weights=weights.folder)
    gateway = serve(bench, "owlvit", weights, dtype="float32", threads=1)
    seconds = bench.seconds(12)
    contenders = {
        "served": rate(gateway, _load(seconds)),
        "cached": bare.rate(seconds, pipeline="owlvit"),
        "forward": bare.rate(seconds, pipeline="owlvit-forward"),
    }
    values = interleave(contenders, bench.rounds)
    yield Figure("OWL-ViT / bare, labels read once", "x", ratios(values["served"], values["cached"]), CACHED)
    yield Figure("OWL-ViT / transformers' forward", "x", ratios(values["served"], values["forward"]), FORWARD)
    yield Figure("OWL-ViT", "1/s", values["served"])
    yield Figure("OWL-ViT, bare, labels read once", "1/s", values["cached"])
    yield Figure("OWL-ViT, transformers' forward", "1/s", values["forward"])


def _load(seconds: float) -> Load:
    asked = urlencode({"labels": ",".join(LABELS), "template": "{}", "threshold": THRESHOLD})
    return Load(CLIENTS, seconds, photographs(), path="/v1/detect/open", query=f"?{asked}", answer=None)
