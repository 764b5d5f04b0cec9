"""Settings of the fine-tuning job: one class for the command line, a YAML file and the environment.

A field is read from the command line (`--epochs 5`), then the file that `--config` names, then the variables
`OCELLI_FINETUNE__EPOCHS` and `OCELLI_EPOCHS`, then its default.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from shared.settings import Names, OcelliSettings, stop

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class GateLimits(BaseModel):
    """What a version must reach before it is pushed; scores are between 0 and 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least: Share = Field(0.5, description="least headline score on the new data")
    gain: float = Field(0.0, ge=-1, le=1, description="least change of it from the base")
    loss: Share = Field(0.05, description="most that the headline score may fall on the old data")
    class_loss: Share = Field(0.2, description="most that the score of any one class may fall on the old data")
    latency: float = Field(1.5, ge=1, description="most times the base's seconds for one answer")


class JobSettings(OcelliSettings):
    """What one run of the job reads, learns with, and publishes."""

    model_config = SettingsConfigDict(cli_implicit_flags=True)
    service: ClassVar[str] = "finetune"
    command: ClassVar[str | None] = "ocelli finetune TASK"

    config: Path | None = Field(None, description="YAML file with settings by these names")
    data: Path | None = Field(None, description="training data: a folder or a file in a format of the task")
    validation: Path | None = Field(None, description="data to judge by; a share of --data unless given")
    replay: Path | None = Field(None, description="data that the base knows already, learnt beside the new")
    old: Path | None = Field(None, description="data to measure forgetting by; a share of --replay unless given")
    demo: bool = Field(False, description="make new shapes and colours, and learn them")
    base: str | None = Field(
        None, description="what to start from, as model@version; the service's champion unless given"
    )
    store: str | None = Field(None, description="URL of the weights store; <state>/store unless set")
    output: Path | None = Field(None, description="folder of this run; <state>/runs/<id> unless given")
    version: str | None = Field(None, description="id of the version to publish; the run's id unless given")
    resume: Path | None = Field(None, description="folder of a run to go on with")
    dry_run: bool = Field(False, description="read and check everything, tell what would happen, and stop")

    bad_rows: Literal["refuse", "skip"] = Field("refuse", description="what to do about broken rows of the data")
    share: Share = Field(0.1, description="share of the data that is kept for validation, where none is given")
    seed: int = Field(1, ge=0, description="of splits, order and augmentation")

    epochs: float | None = Field(None, gt=0, description="times through the data; the task's own unless given")
    steps: int | None = Field(None, ge=1, description="optimizer steps, instead of epochs")
    batch: int | None = Field(None, ge=1, le=1024, description="examples of one step and process")
    accumulate: int = Field(1, ge=1, description="steps whose gradients are added up")
    lr: float | None = Field(None, gt=0, le=1, description="learning rate; the task's own unless given")
    augment: Names | None = Field(
        None,
        description="changes of a detector's pictures: mirror, colours (channels in any order), none; mirror as a rule",
    )
    lora: int | None = Field(
        None, ge=1, le=256, description="rank of a LoRA adapter; all weights are trained unless given"
    )
    freeze: Names = Field((), description="parts to leave as they are, by the beginning of their names")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="number type to compute in")
    checkpointing: bool = Field(False, description="compute activations again instead of keeping them")
    patience: int | None = Field(None, ge=1, description="evaluations without a better score before it stops early")
    evaluations: int = Field(4, ge=1, le=1000, description="times to evaluate and save a checkpoint on the way")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:<n>")
    threads: int = Field(2, ge=1, le=256, description="CPU threads")

    gate: GateLimits = GateLimits()
    force: str | None = Field(None, min_length=3, description="push although the gate says no, with this reason")
    by: str | None = Field(None, description="who is responsible, as the manifest tells; the user unless given")
    push: bool = Field(True, description="push to the running services in the end")
    replicas: str | None = Field(None, description="management addresses to push to; this machine's unless given")
    new_space: bool = Field(
        False, description="a CLIP whose vectors are not comparable with those of before is intended"
    )

    @classmethod
    def load(cls, argv: Sequence[str] | None = None, **given: Any) -> Self:
        """Read the settings and the file that `--config` names; exit with 78 and a sentence where one is wrong."""
        arguments = list(argv or ())
        file = next((Path(value) for name, value in pairwise(arguments) if name == "--config"), None)
        return super().load(arguments, **(_file(file) if file else {}), **given)


def _file(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        stop(f"--config {path}: {error.strerror}.")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        stop(f"--config {path}: not YAML{f', line {mark.line + 1}' if mark else ''}.")
    if not isinstance(content, dict):
        stop(f"--config {path}: expected settings by name, such as `epochs: 5`.")
    return content
