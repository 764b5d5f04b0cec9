"""Settings: one frozen class per process, read once from the command line and the environment.

A field `port` of the detection service is read from `--port`, then `OCELLI_DETECTION__PORT`, then `OCELLI_PORT`,
then its default. Nested fields go on with `__` (`OCELLI_LIMITS__BODY_BYTES`). An `OCELLI_` variable that nobody
knows, or a value out of range, stops the start with a sentence that says what to set.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

SERVICES = ("gateway", "detection", "clip", "owlvit", "llava", "finetune")
EXIT_CONFIG = 78  # EX_CONFIG of sysexits(3)

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


def _split(value: object) -> object:
    """A list as people write it: `a,b`. A JSON list is understood as well, and is what the command line passes on."""
    if not isinstance(value, str):
        return value
    return [part.strip(" \"'") for part in value.strip("[]").split(",") if part.strip(" \"'")]


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Limits(BaseModel):
    """What a request may be at most; each one is enforced before the work that it bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    body_bytes: int = Field(20_000_000, ge=1024, description="request body")
    image_pixels: int = Field(25_000_000, ge=1, description="pixels of one picture, told by its header")
    image_side: int = Field(16_384, ge=1, description="width or height of one picture")
    images: int = Field(16, ge=1, description="pictures in one request")
    headers: int = Field(64, ge=8, description="header fields")
    header_bytes: int = Field(16_384, ge=1024, description="request line and header fields together")
    header_s: Seconds = Field(10, description="time for the headers to arrive")
    body_s: Seconds = Field(30, description="time for the body to arrive")
    stall_s: Seconds = Field(30, description="time for which a reader may take nothing of its answer")
    multipart_parts: int = Field(16, ge=1, description="parts of a multipart body")
    json_depth: int = Field(32, ge=2, description="nesting of a JSON body")


class OcelliSettings(BaseSettings):
    """What a service and the job have alike: where settings come from, the folder of a local run, the log."""

    model_config = SettingsConfigDict(
        env_prefix="OCELLI_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        nested_model_default_partial_update=True,
    )
    service: ClassVar[str] = "process"
    command: ClassVar[str | None] = None  # what people type, where it is not `python -m services.<service>`

    state: Path = Field(Path(".ocelli"), description="folder of a local run: store, keys, logs")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe line that is logged"
    )
    log_format: Literal["json", "text"] = Field("json", description="one JSON object per line, or text for a person")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Rank the variables that name this service above those for all."""
        own = EnvSettingsSource(settings_cls, env_prefix=f"OCELLI_{cls.service.upper()}__")
        return init_settings, own, env_settings

    @classmethod
    def load(cls, argv: Sequence[str] | None = None, **given: Any) -> Self:
        """Read the settings, or print what is wrong and how to mend it, and exit with 78.

        What is `given` ranks below the command line and above the environment.
        """
        unknown = unknown_variables(cls, os.environ)
        if unknown:
            stop("\n".join(unknown))
        try:
            arguments = list(sys.argv[1:] if argv is None else argv)
            return cls(_cli_settings_source=_command_line(cls, arguments), **given)
        except SettingsError as error:
            stop(f"{error}: this one is written as JSON.")
        except ValidationError as error:
            stop("\n".join(f"{_variable(e['loc'])}: {e['msg']} (it is {e['input']!r})" for e in error.errors()))


class ProcessSettings(OcelliSettings):
    """What every process has: where it listens, its limits, how it stops."""

    trusting: ClassVar[bool] = True  # callers are our own gateway, which has decided which traces are kept

    host: str = Field("127.0.0.1", description="address of the data port")
    port: Port = Field(0, description="data port")
    management_host: str = Field("127.0.0.1", description="address of the management port")
    management_port: Port | None = Field(None, description="metrics, probes and admin; data port + 1000 unless set")
    revision: str = Field("", max_length=64, description="revision of the code, for `ocelli_build_info`")
    limits: Limits = Limits()
    deadline_s: Seconds = Field(30, description="longest time for one request; X-Request-Deadline-Ms may shorten it")
    drain_delay_s: float = Field(0, ge=0, le=60, description="time to go on serving after readiness went off")
    drain_s: Seconds = Field(25, description="time for accepted requests to finish after SIGTERM")
    traces: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        description="http://host:4318 of a collector that takes OTLP over HTTP; no traces unless set",
    )
    traces_ratio: float = Field(1, ge=0, le=1, description="share of the traces that are kept")

    @property
    def management(self) -> int:
        """The management port in force (0 lets the system choose, like `port`)."""
        return self.management_port if self.management_port is not None else (self.port + 1000 if self.port else 0)


class ServiceSettings(ProcessSettings):
    """What every model service has on top: the store, the device, and how it batches."""

    store: str | None = Field(
        None, description="URL of the weights store; <state>/store, seeded from models/, unless set"
    )
    models: Names = Field((), description="models to serve, as name or name@version; the first is the default")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:<n>")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="number type of the network")
    threads: int = Field(1, ge=1, le=256, description="CPU threads of one model step")
    decode_workers: int = Field(2, ge=1, le=64, description="threads that decode pictures")
    max_batch: int = Field(8, ge=1, le=256, description="items of one batch")
    max_batch_cost: int = Field(32_000_000, ge=1, description="pixels or tokens of one batch")
    queue: int = Field(64, ge=1, le=4096, description="requests that may wait, per model")
    admin_key_file: Path | None = Field(
        None,
        description="file of the key for /admin on the management port; <state>/admin.key, made at start, unless set",
    )
    follow_s: float = Field(
        2, ge=0, le=3600, allow_inf_nan=False, description="time between two looks at the alias champion; 0 for never"
    )
    prepared_s: Seconds = Field(120, description="time for prepared weights to wait for their commit")


class TowerSettings(ServiceSettings):
    """What the services with a vision tower have on top: what runs it."""

    backend: Literal["eager", "openvino", "compile"] = Field(
        "eager", description="what runs the vision tower on a CPU: eager, openvino or compile"
    )


def unknown_variables(settings: type[OcelliSettings], environment: Mapping[str, str]) -> list[str]:
    """One sentence per `OCELLI_` variable that `settings` does not know; those of other services are left alone."""
    known = {name.upper() for name in settings.model_fields}
    sentences = []
    for variable in environment:
        name = variable.removeprefix("OCELLI_")
        if name == variable or any(name.startswith(f"{s.upper()}__") for s in SERVICES if s != settings.service):
            continue
        field = name.removeprefix(f"{settings.service.upper()}__").split("__")[0]
        if field not in known and name not in SHARED_VARIABLES:
            close = get_close_matches(field, sorted(known), n=1)
            hint = f" Did you mean OCELLI_{close[0]}?" if close else ""
            sentences.append(f"{variable}: the {settings.service} process has no such setting.{hint}")
    return sentences


# Variables that `ocelli up` hands to every process of one machine, whether it reads them or not.
SHARED_VARIABLES = frozenset(name.upper() for name in TowerSettings.model_fields)


def stop(message: str) -> NoReturn:
    """Say on standard error what is wrong with the configuration, and exit with EX_CONFIG."""
    sys.stderr.write(f"ocelli cannot start:\n{message}\n")
    raise SystemExit(EXIT_CONFIG)


def _command_line(settings: type[OcelliSettings], argv: list[str]) -> CliSettingsSource[Any]:
    prog = settings.command or f"python -m services.{settings.service}"
    source: CliSettingsSource[Any] = CliSettingsSource(settings, cli_prog_name=prog)
    return source(args=argv)


def _variable(location: tuple[int | str, ...]) -> str:
    return "OCELLI_" + "__".join(str(part).upper() for part in location)
