"""`ocelli models`: what the store holds, whether its bytes are sound, how one gets in, and how it comes to serve.

configure(parser) -> one function per sub-command -> exit code 0, or 1 and a sentence on standard error
"""

import argparse
import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

from shared.cli import rollout
from shared.cli.inventory import Entry, description, listing
from shared.cli.table import size
from shared.rollout.errors import RolloutError
from shared.serving.model import Identity
from shared.weights.digest import short
from shared.weights.errors import RefusedVersion, StoreError
from shared.weights.seed import open_store, seed, shipped
from shared.weights.store import Store

EXAMPLES = """examples:
  ocelli models list
  ocelli models show ssd@champion
  ocelli models verify --all
  ocelli models import fasterrcnn_resnet50_fpn_v2_coco.pth --as faster-rcnn \\
      --architecture fasterrcnn_resnet50_fpn_v2 --labels coco --champion
  ocelli models import clip-vit-base-patch32/ --as clip --champion
  ocelli models push clip@my-version
  ocelli models merge clip@my-version-adapter
  ocelli models rollback clip
  ocelli models retire clip@my-old-version
  ocelli models history clip
"""
IMPORTS = """\
A Hugging Face directory of CLIP, OWL-ViT or OWLv2 says itself what it is. A torchvision state dict (.safetensors, .pth
or .pt, or a folder that holds one) needs --architecture. Tensors keep their number type. No code of a checkpoint is
ever run: scripts, pickles besides the weights, auto_map and links that lead out are refused; chat templates are left
out.

examples:
  ocelli models import clip-vit-base-patch32/ --as clip --champion
  ocelli models import owlv2-base-patch16-ensemble/ --as owlvit --version owlv2-base
  ocelli models import fasterrcnn_resnet50_fpn_v2_coco.pth --as faster-rcnn \\
      --architecture fasterrcnn_resnet50_fpn_v2 --labels coco --champion
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands; each sets `run`, which takes the parsed arguments and returns the exit code."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, EXAMPLES
    commands = parser.add_subparsers(dest="action", metavar="action", required=True)
    add = functools.partial(_add, commands)
    add("list", _list, "every version, with its aliases").add_argument("--json", action="store_true")
    show = add("show", _show, "where a version comes from, its figures and its files")
    show.add_argument("reference", help="model, model@champion, model@<version> or model@sha256:<digits>")
    show.add_argument("--json", action="store_true", help="the manifest and the digest as JSON")
    verify = add("verify", _verify, "read every byte and compare it with the manifest")
    verify.add_argument("reference", nargs="*", help="versions to check, as in show")
    verify.add_argument("--all", action="store_true", help="check every version")
    _configure_import(add("import", _import, "publish a public checkpoint as safetensors"))
    seeding = add("seed", _seed, "bring the shipped models into the store, as a local one begins with them")
    seeding.add_argument("--json", action="store_true")
    merging = add("merge", _merge, "add an adapter to its base: the version that serves, as the job made it")
    merging.add_argument("reference", help="model@<id>-adapter")
    merging.add_argument("--version", metavar="ID", help="publish it as a version of its own")
    rollout.configure_push(add("push", _on(rollout.run_push), "serve a version on all replicas, or on none"))
    rollout.configure_push(add("promote", _on(rollout.run_push), "the same as push"))
    rollout.configure_rollback(add("rollback", _on(rollout.run_rollback), "serve the version before again"))
    rollout.configure_retire(add("retire", _on(rollout.run_retire), "end the embedding space that serves beside"))
    rollout.configure_history(add("history", _on(rollout.run_history), "what served, since when, and by whose hand"))


def _configure_import(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, IMPORTS
    parser.add_argument("source", type=Path, help="a Hugging Face directory, or the file of a torchvision state dict")
    parser.add_argument("--as", dest="model", required=True, metavar="MODEL", help="name in the store")
    parser.add_argument("--version", metavar="ID", help="id of the version (default: from the digest of the weights)")
    detector = parser.add_argument_group("for torchvision state dicts")
    detector.add_argument("--architecture", metavar="NAME", help="such as fasterrcnn_resnet50_fpn_v2")
    detector.add_argument("--labels", metavar="FILE", help="a file with one label a line, or coco (default: coco)")
    parser.add_argument("--champion", action="store_true", help="let champion point at it")


def _add(
    commands: Any, name: str, action: Callable[[argparse.Namespace], int], summary: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
    )
    parser.add_argument("--store", metavar="URL", help="weights store (default: OCELLI_STORE, or <OCELLI_STATE>/store)")
    parser.set_defaults(run=functools.partial(_guarded, action))
    return parser


def _on(action: rollout.Action) -> Callable[[argparse.Namespace], int]:
    return lambda arguments: action(arguments, _store(arguments), _state())


def _guarded(action: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run one action; what the operator can mend is a sentence, not a trace."""
    try:
        return action(arguments)
    except (StoreError, RolloutError) as error:
        reason = str(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = f"{error.strerror or type(error).__name__}: {error.filename or 'the store'}."
    _complain(reason)
    return 1


def _list(arguments: argparse.Namespace) -> int:
    store = _store(arguments)
    entries: list[Entry] = []
    sound = True
    for reference in _all(store):
        try:
            entries.append(Entry.of(store, reference))
        except RefusedVersion as error:  # one damaged manifest must not hide the others
            sound = _complain(str(error))
    entries.sort(key=lambda entry: (entry.identity.model, entry.manifest.made.at))
    if arguments.json:
        print(json.dumps([entry.summary() for entry in entries], indent=2))
    else:
        print(listing(entries) if entries else f"No models in {store.url}.")
    return 0 if sound else 1


def _show(arguments: argparse.Namespace) -> int:
    entry = Entry.of(_store(arguments), arguments.reference)
    print(json.dumps(entry.full(), indent=2) if arguments.json else description(entry))
    return 0


def _seed(arguments: argparse.Namespace) -> int:
    seed(shipped(), _store(arguments))
    return _list(arguments)


def _verify(arguments: argparse.Namespace) -> int:
    store = _store(arguments)
    if not arguments.reference and not arguments.all:
        raise StoreError("Name the versions to verify, or say --all.")
    sound = True
    for reference in _all(store) if arguments.all else arguments.reference:
        try:
            version = store.fetch(reference, _state() / "cache")
        except StoreError as error:
            sound = _complain(f"{reference} is REFUSED: {error}")
        else:
            files = f"{len(version.manifest.files)} files, {size(version.manifest.size)}"
            print(f"ok  {reference}  {short(version.digest)}  {files}")
    if arguments.all:
        sound &= _aliases_hold(store)
    return 0 if sound else 1


def _aliases_hold(store: Store) -> bool:
    """Whether each alias still finds the very manifest that it was set on."""
    sound = True
    for reference in [f"{model}@{alias}" for model in store.models() for alias in store.aliases(model)]:
        try:
            store.resolve(reference)
        except StoreError as error:
            sound = _complain(f"{reference} is REFUSED: {error}")
    return sound


def _import(arguments: argparse.Namespace) -> int:
    store, model = _store(arguments), arguments.model
    bring = _import_detector if arguments.architecture else _import_pretrained
    identity = bring(store, arguments)
    print(f"published {model}@{identity.version}  {identity.digest}")
    if arguments.champion:
        champion = store.aliases(model).get("champion")
        store.move_alias(model, "champion", identity.version, expected=champion.version if champion else None)
        print(f"{model}@champion -> {identity.version}  (was {champion.version if champion else 'not set'})")
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    from services.finetune.adapters import merge

    store = _store(arguments)
    model, version, *_ = astuple(store.resolve(arguments.reference))
    identity = merge(store, model, version, cache=_state() / "cache", name=arguments.version)
    print(f"{model}@{version} merged into its base is {model}@{identity.version}  {identity.digest}")
    return 0


def _import_detector(store: Store, arguments: argparse.Namespace) -> Identity:
    from services.detection.importer import configuration, import_checkpoint

    config = configuration(arguments.architecture, arguments.labels or "coco")
    return import_checkpoint(store, arguments.source, config=config, model=arguments.model, version=arguments.version)


def _import_pretrained(store: Store, arguments: argparse.Namespace) -> Identity:
    from services.clip.importer import FAMILY as CLIP
    from services.llava.importer import FAMILY as LLAVA
    from services.owlvit.importer import FAMILY as OWLVIT
    from shared.accel.importing import import_pretrained

    if arguments.labels:
        raise StoreError("--labels belongs to a torchvision state dict, which needs --architecture too.")
    families, model = (CLIP, OWLVIT, LLAVA), arguments.model
    return import_pretrained(store, arguments.source, families=families, model=model, version=arguments.version)


def _all(store: Store) -> list[str]:
    return [f"{model}@{version}" for model in store.models() for version in store.versions(model)]


def _complain(reason: str) -> bool:
    print(f"ocelli models: {reason}", file=sys.stderr)
    return False


def _state() -> Path:
    return Path(os.environ.get("OCELLI_STATE") or ".ocelli")


def _store(arguments: argparse.Namespace) -> Store:
    """The store that was named, or that of the local state, which begins with the shipped models.

    A later release reaches a local store when a service starts, not because somebody lists what is there.
    """
    url = arguments.store or os.environ.get("OCELLI_STORE")
    local = _state() / "store"
    return Store(url or str(local)) if url or local.exists() else open_store(None, _state())
