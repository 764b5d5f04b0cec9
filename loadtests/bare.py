"""`python -m loadtests.bare`: a bare torchvision detector, the most that a service around it could give.

decoded pictures -> model([picture]) in a loop, one thread -> one JSON line per round: pictures, seconds

A round is asked for by a line on standard input with its length in seconds; `--seconds` asks for a single one.
"""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import detection

from loadtests.pictures import decoded, photograph

PICTURES = 4


def build(architecture: str, threshold: float = 0.0) -> nn.Module:
    """A full-size detector with random weights; `threshold` is its own lowest score, so that it drops what we drop."""
    torch.manual_seed(0)
    name = "score_thresh" if architecture.startswith("ssd") else "box_score_thresh"
    make = getattr(detection, architecture)
    model: nn.Module = make(weights=None, weights_backbone=None, **({name: threshold} if threshold else {}))
    return model.eval()


def run(model: nn.Module, pictures: Iterable[Tensor], seconds: float) -> tuple[int, float]:
    """Pictures and seconds of one round; at least one picture."""
    began = time.monotonic()
    with torch.inference_mode():
        for count, picture in enumerate(pictures, start=1):
            model([picture])
            if time.monotonic() - began >= seconds:
                return count, time.monotonic() - began
    raise ValueError("there were no pictures")


def main() -> None:
    """Answer a line per round until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bare", description=__doc__)
    parser.add_argument("--architecture", required=True, help="a constructor of torchvision.models.detection")
    parser.add_argument("--weights", type=Path, help="a state dict; random weights otherwise")
    parser.add_argument("--threshold", type=float, default=0.9, help="lowest score of a detection")
    parser.add_argument("--seconds", type=float, help="run one round of this length and end")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = build(arguments.architecture, arguments.threshold)
    if arguments.weights:
        model.load_state_dict(torch.load(arguments.weights, weights_only=True))
    pictures = itertools.cycle([torch.from_numpy(decoded(photograph(seed))) for seed in range(PICTURES)])
    for wanted in [arguments.seconds] if arguments.seconds else sys.stdin:
        count, seconds = run(model, pictures, float(wanted))
        print(json.dumps({"pictures": count, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
