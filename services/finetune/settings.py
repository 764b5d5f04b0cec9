"""Settings of the fine-tuning job: one class for the command line, a YAML file and the environment.

A field is read from the command line (`--epochs 5`), then the file that `--config` names, then the variables
`OCELLI_FINETUNE__EPOCHS` and `OCELLI_EPOCHS`, then its default.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.settings import OcelliSettings

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

    service: ClassVar[str] = "finetune"

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
    lora: int | None = Field(
        None, ge=1, le=256, description="rank of a LoRA adapter; all weights are trained unless given"
    )
    freeze: tuple[str, ...] = Field((), description="parts to leave as they are, by the beginning of their names")
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
    new_space: bool = Field(
        False, description="a CLIP whose vectors are not comparable with those of before is intended"
    )
