"""`python -m loadtests.bare PIPELINE`: a network without a service, the most that one around it could give.

JPEGs -> pipeline(batch) in a loop -> one JSON line per round: pictures, seconds, median seconds of a batch

A round is asked for by a JSON line on standard input with the fields of `Round`; `--seconds` asks for a single one.
"""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from loadtests.pictures import photographs
from loadtests.pipelines import PRETRAINED, Pipeline, detector


@dataclass(frozen=True, slots=True)
class Round:
    """What to run: for how long, how many pictures at a time, with how many threads in each of torch's operators."""

    seconds: float
    batch: int = 1
    threads: int = 1
    pipeline: str | None = None  # the first unless named

    def of(self, pipelines: Mapping[str, Pipeline], pictures: Iterator[bytes]) -> dict[str, float]:
        """Run it; at least one batch."""
        torch.set_num_threads(self.threads)
        pipeline = pipelines[self.pipeline or next(iter(pipelines))]
        times = list(self._times(pipeline, pictures))
        return {"pictures": self.batch * len(times), "seconds": sum(times), "median": median(times)}

    def _times(self, pipeline: Pipeline, pictures: Iterator[bytes]) -> Iterator[float]:
        until = time.monotonic() + self.seconds
        while True:
            began = time.monotonic()
            with torch.inference_mode():
                pipeline(list(itertools.islice(pictures, self.batch)))
            ended = time.monotonic()
            yield ended - began
            if ended >= until:
                return


def main(argv: Sequence[str] | None = None) -> None:
    """Answer a line per round until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bare", description=__doc__.split("\n\n")[0])
    names = f"{', '.join(PRETRAINED)}, or a constructor of torchvision.models.detection"
    parser.add_argument("pipelines", metavar="PIPELINE", nargs="+", help=names)
    parser.add_argument("--weights", type=Path, help="a Hugging Face directory, or torchvision's state dict")
    parser.add_argument("--seconds", type=float, help="run one round of this length, a picture at a time, and end")
    arguments = parser.parse_args(argv)
    weights: Path | None = arguments.weights
    if weights is None and PRETRAINED.keys() & set(arguments.pipelines):
        parser.error(f"{', '.join(PRETRAINED)} need --weights")
    torch.set_num_threads(1)
    pipelines = {name: _load(name, weights) for name in arguments.pipelines}
    pictures = itertools.cycle(photographs())
    for wanted in [json.dumps({"seconds": arguments.seconds})] if arguments.seconds else sys.stdin:
        print(json.dumps(Round(**json.loads(wanted)).of(pipelines, pictures)), flush=True)


def _load(name: str, weights: Path | None) -> Pipeline:
    return PRETRAINED[name](weights) if weights and name in PRETRAINED else detector(name, weights)


if __name__ == "__main__":
    main()
