"""`python -m loadtests.bench [section] [--rounds N] [--quick] [--json FILE]`: our parts against the bare parts.

sections -> real processes in a temporary folder -> contenders in turn, round by round -> medians -> verdicts

Exits with 1 if a goal was missed on a quiet machine; on a busy one the figures are printed and say nothing.
"""

import argparse
import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from loadtests import agreement, chat, chat_gpu, clip, front, gateway, owlvit, served, start
from loadtests.machine import Others
from loadtests.processes import Bench
from loadtests.report import Figure, Report, Section

SECTIONS: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {
    "front": front.measure,
    "gateway": gateway.measure,
    "served": served.measure,
    "clip": clip.measure,
    "owlvit": owlvit.measure,
    "chat": chat.measure,
    "chat-gpu": chat_gpu.measure,
    "agreement": agreement.measure,
    "start": start.measure,
}


def run(name: str, *, rounds: int, quick: bool) -> Section:
    """Measure one section, with every process of it started before and ended after."""
    others, figures = Others(), []
    with tempfile.TemporaryDirectory(prefix="ocelli-bench-") as folder, contextlib.ExitStack() as stack:
        for figure in SECTIONS[name](Bench(Path(folder), stack, rounds=rounds, quick=quick)):
            figures.append(figure)
            print("  ".join(cell for cell in figure.row() if cell), file=sys.stderr, flush=True)  # a run may be long
    return Section(name, figures, others.load())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sections that were asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("section", nargs="?", default="all", choices=[*SECTIONS, "all"])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each contender; their median counts")
    parser.add_argument("--quick", action="store_true", help="rounds of a tenth: shows that it works, not how fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures with all rounds as well")
    arguments = parser.parse_args(argv)
    report = Report()
    for name in SECTIONS if arguments.section == "all" else [arguments.section]:
        section = run(name, rounds=arguments.rounds, quick=arguments.quick)
        report.sections.append(section)
        print(section, end="\n\n", flush=True)
    if arguments.json:
        report.write(arguments.json)
    return 1 if report.failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes under test end as well
    sys.exit(main())
