"""The command line of what measures the served models: a client, and one line per figure as it comes."""

import argparse
import sys
from collections.abc import Callable, Iterable

import httpx

Report = Callable[[httpx.Client, int], Iterable[str]]


def run(description: str | None, report: Report, *, unit: str, count: int) -> None:
    """Print what `report` tells of `--<unit>` many cases, `count` unless told otherwise."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument(f"--{unit}", dest="count", type=int, default=count)
    arguments = parser.parse_args()
    with httpx.Client(base_url=arguments.url, timeout=60, trust_env=False) as client:
        for line in report(client, arguments.count):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
