import pytest
import torch

from services.finetune.errors import JobError
from services.finetune.training.plan import Defaults, Plan, plan
from tests.services.finetune.training.lessons import settings

DEFAULTS = Defaults(batch=16, lr=2e-3, epochs=3, least_steps=80, warm_up=5)


def planned(new: int = 1000, replay: int = 0, **given: object) -> Plan:
    return plan(settings(**{"steps": None} | given), DEFAULTS, new=new, replay=replay)


def test_an_epoch_is_once_through_the_new_examples() -> None:
    assert planned(epochs=2).steps == 125
    assert planned(epochs=2, replay=50).steps == 250  # half of each step is replayed


def test_steps_win_over_epochs_and_a_small_set_is_gone_through_more_often() -> None:
    assert planned(steps=7, epochs=5).steps == 7
    assert planned(new=20).steps == 80
    assert planned(new=20, epochs=1).steps == 2


def test_accumulation_and_processes_make_steps_larger_and_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    made = planned(epochs=2, accumulate=2)
    assert made.steps == 32
    assert made.step_examples == 64
    assert made.examples == 2048


def test_a_rate_is_told_as_a_multiple_of_the_tasks_own() -> None:
    assert planned(lr=1e-3).pace == 0.5
    assert planned().pace == 1.0


@pytest.mark.parametrize(("steps", "evaluations", "period"), [(80, 4, 20), (10, 3, 4), (2, 9, 1)])
def test_the_last_step_is_always_judged(steps: int, evaluations: int, period: int) -> None:
    assert planned(steps=steps, evaluations=evaluations).period == period


def test_one_step_has_no_warm_up() -> None:
    assert planned(steps=1).warm_up == 0


def test_the_types_that_are_asked_for_are_taken() -> None:
    assert planned(precision="bfloat16").dtype == torch.bfloat16
    assert planned().device == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(JobError, match="no GPU"):
        planned(device="cuda")
