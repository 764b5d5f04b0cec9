"""`ocelli settings`: every setting of every process as a Markdown table, generated from the classes that read them."""

import argparse
from collections.abc import Iterator
from importlib import import_module

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shared.settings import OcelliSettings, ProcessSettings, ServiceSettings

PROCESSES = {
    "gateway": "services.gateway.settings",
    "detection": "services.detection.main",
    "clip": "services.clip.main",
    "owlvit": "services.owlvit.main",
    "llava": "services.llava.main",
    "finetune": "services.finetune.settings",
}
HEAD = "| variable | default | meaning |\n|---|---|---|"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ocelli settings`."""
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print the tables."""
    print(tables())
    return 0


def tables() -> str:
    """One table for what all processes share, one for what model services add, and one per process."""
    sections = [
        ("Every process", ProcessSettings, set()),
        ("Every model service", ServiceSettings, set(ProcessSettings.model_fields)),
    ]
    for name, module in PROCESSES.items():
        kind = next(v for v in vars(import_module(module)).values() if _is_settings(v, name))
        known = {f for f, info in kind.model_fields.items() if _inherited(kind, f, info)}
        sections.append((f"{name.capitalize()} (`OCELLI_{name.upper()}__…` for this process alone)", kind, known))
    return "\n\n".join(f"**{title}**\n\n{HEAD}\n" + "\n".join(_rows(kind, skip)) for title, kind, skip in sections)


def _is_settings(value: object, service: str) -> bool:
    return isinstance(value, type) and issubclass(value, OcelliSettings) and value.service == service


def _inherited(kind: type[OcelliSettings], name: str, info: FieldInfo) -> bool:
    parents = (ServiceSettings, ProcessSettings) if issubclass(kind, ServiceSettings) else (ProcessSettings,)
    return any(name in parent.model_fields and parent.model_fields[name].default == info.default for parent in parents)


def _rows(kind: type[BaseModel], skip: set[str], prefix: str = "OCELLI_") -> Iterator[str]:
    for name, info in kind.model_fields.items():
        if name in skip:
            continue
        variable = prefix + name.upper()
        if isinstance(info.default, BaseModel):
            yield from _rows(type(info.default), set(), variable + "__")
        else:
            meaning = str(info.description).replace("<", "&lt;")
            yield f"| `{variable}` | {_shown(info.default)} | {meaning} |"


def _shown(default: object) -> str:
    if default in (None, (), ""):
        return "–"
    if isinstance(default, tuple):
        return f"`{','.join(map(str, default))}`"
    return f"`{default:,}`".replace(",", "_") if isinstance(default, int) and default >= 10_000 else f"`{default}`"
