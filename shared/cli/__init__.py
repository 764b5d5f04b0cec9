"""The `ocelli` command: a thin front over the modules. Each command's module is imported only when it is asked for."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import shared

COMMANDS = {
    "up": "start the gateway and the services on this machine, in the foreground",
    "doctor": "check ports, versions, device, memory and the weights store",
    "models": "list, show, verify and import the models of the weights store; push them and roll back",
    "finetune": "teach a model on your own pictures, and push the new weights",
    "data": "check training data and draw a contact sheet",
    "keys": "create, list and revoke the API keys of the gateway",
    "settings": "print every setting of every process",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 when it did what it says, 1 when it could not, 2 for wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = next((a for a in arguments if a in COMMANDS), None)
    parser = argparse.ArgumentParser(prog="ocelli", description="Vision models as production microservices.")
    parser.add_argument("--version", action="version", version=f"ocelli {shared.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == command:
            import_module(f"shared.cli.{name}").configure(sub)
    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
