"""`python -m loadtests.capacity measure | plan | limit`: how many replicas a rate needs, from measured batch times.

measure  a running service -> seconds per batch size -> a file
plan     file, rate -> replicas that keep the promise, waits, utilisation, refusals -> a table
limit    file, replicas -> the rate up to which the promise is kept: the saturation point
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from loadtests.capacity_queue import Service, simulate
from loadtests.capacity_times import TARGETS, measure, read, write
from loadtests.slo import Promise, promises

HEAD = ("replicas", "rate/s", "load", "busy", "p50 ms", "p99 ms", "refused", "promise")
SHARP = 0.01  # a limit is found to this share
MOST_LOAD = 0.95  # of what full batches allow: above it the length of a queue is luck, and a run too short to tell


def least(holds: Callable[[int], bool], start: int) -> int:
    """The least number from `start` on for which `holds`, which stays so once it does."""
    low, high = start - 1, start
    while not holds(high):
        low, high = high, high + max(1, high // 8)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def replicas_for(service: Service, rate: float, promise: Promise) -> int:
    """The least number of replicas that keep `promise` at `rate` requests per second, with some reserve.

    Raises `ValueError` where no number does.
    """
    if service.delay + service.seconds[0] > promise.seconds:
        raise ValueError(f"one request alone takes longer than {promise.seconds:g} s, however many replicas there are")
    start = math.ceil(rate / (MOST_LOAD * service.most))
    return least(lambda count: simulate(service, count, rate).keeps(promise), start)


def limit(service: Service, replicas: int, promise: Promise) -> float:
    """The rate up to which `replicas` keep `promise`, in requests per second; 0 if none does."""
    low, high = 0.0, replicas * service.most
    while high - low > SHARP * high:
        middle = (low + high) / 2
        low, high = (middle, high) if simulate(service, replicas, middle).keeps(promise) else (low, middle)
    return low


def row(service: Service, replicas: int, rate: float, promise: Promise) -> list[str]:
    """The cells of a line of the table."""
    outcome, load = simulate(service, replicas, rate), rate / (replicas * service.most)
    said = "broken" if not outcome.keeps(promise) else "kept" if load <= MOST_LOAD else "no reserve"
    waits = [f"{outcome.quantile(share) * 1000:.0f}" for share in (0.5, 0.99)]
    shares = [f"{load:.0%}", f"{outcome.utilisation:.0%}", *waits, f"{outcome.refused / outcome.asked:.2%}"]
    return [str(replicas), f"{rate:.4g}", *shares, said]


def show(rows: Iterable[Sequence[str]]) -> None:
    """Print the table."""
    lines = [HEAD, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(HEAD))]
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def plan(service: Service, rates: Sequence[float], promise: Promise) -> None:
    """Print, for each rate, the replicas that keep the promise, and one less."""
    rows = []
    for rate in rates:
        enough = replicas_for(service, rate, promise)
        for replicas in (enough - 1, enough):
            if replicas:
                rows.append(row(service, replicas, rate, promise))
    show(rows)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.capacity", description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    asking = commands.add_parser("measure", help="seconds per batch size of a running service")
    asking.add_argument("target", choices=list(TARGETS))
    asking.add_argument("file", type=Path)
    asking.add_argument("--url", default="http://127.0.0.1:8000", help="gateway, or the service itself")
    asking.add_argument("--management", default="http://127.0.0.1:9001", help="management port of the service")
    asking.add_argument("--seconds", type=float, default=10, help="of each round")
    planning = commands.add_parser("plan", help="replicas that a rate needs")
    planning.add_argument("file", type=Path)
    planning.add_argument("rates", type=float, nargs="+", help="requests per second")
    limiting = commands.add_parser("limit", help="the rate that replicas can take")
    limiting.add_argument("file", type=Path)
    limiting.add_argument("replicas", type=int, nargs="?", default=1)
    for each in (planning, limiting):
        each.add_argument("--within", type=float, help="seconds that are promised, instead of those of the objectives")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    given = arguments(argv)
    if given.command == "measure":
        write(given.file, given.target, measure(given.url, given.management, TARGETS[given.target], given.seconds))
        print(given.file.read_text(), end="")
        return 0
    try:
        name, service = read(given.file)
        promise = promises()[name]
        if given.within:
            promise = Promise(name, promise.answered, promise.fast, given.within)
        if given.command == "plan":
            plan(service, given.rates, promise)
        else:
            rate = limit(service, given.replicas, promise)
            print(f"{name}: {given.replicas} keep {promise.seconds:g} s up to {rate:.4g} requests per second")
    except (ValueError, KeyError, OSError) as error:
        print(f"{given.file}: {error}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
