"""`ocelli finetune`: teach a model on your own pictures, and push the new weights into the running services."""

import argparse
import os

EPILOG = """\
tasks:
  detection   boxes and labels, COCO JSON or ImageFolder + metadata.jsonl
  clip        pictures and texts, JSONL pairs, WebDataset tars or class folders
  owlvit      boxes and labels, as for detection; the labels are what users will ask for
  llava       conversations about pictures, `conversations` JSON or `messages` JSONL

examples:
  ocelli finetune detection --demo
  ocelli finetune detection --data shop/annotations.json --replay old/ --epochs 20
  ocelli finetune clip --data pairs.jsonl --lora 16 --dry-run
  ocelli finetune llava --resume .ocelli/runs/llava-20261124-140500-1a2b

`ocelli finetune TASK --help` lists every option; each can be set in a YAML file (--config) and in the environment.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ocelli finetune`; what follows the task is read by the job's own settings."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, EPILOG
    parser.add_argument("task", choices=("detection", "clip", "owlvit", "llava"), help="what to teach")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="see `ocelli finetune TASK --help`")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the job; returns its exit code."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that spin take the cores from others
    from services.finetune.main import main

    return main(arguments.task, arguments.options)
