"""The job's settings: command line over file over environment, and a sentence for what is wrong."""

from pathlib import Path

import pytest

from services.finetune.settings import JobSettings


def test_the_command_line_ranks_above_the_file_and_the_file_above_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("epochs: 3\nlr: 0.01\ngate:\n  least: 0.7\n")
    monkeypatch.setenv("OCELLI_FINETUNE__LR", "0.5")
    monkeypatch.setenv("OCELLI_FINETUNE__SEED", "9")
    found = JobSettings.load(["--config", str(file), "--epochs", "5", "--gate.gain", "0.1"])
    assert (found.epochs, found.lr, found.seed) == (5, 0.01, 9)
    assert (found.gate.least, found.gate.gain) == (0.7, 0.1)


def test_switches_need_no_value() -> None:
    found = JobSettings.load(["--demo", "--no-push", "--freeze", "vision_model,text_model"])
    assert (found.demo, found.push, found.freeze) == (True, False, ("vision_model", "text_model"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("epochs: [", "not YAML, line 1"),
        ("- epochs", "expected settings by name"),
        ("epoch: 3", "OCELLI_EPOCH: Extra inputs are not permitted"),
        ("lora: 0", "OCELLI_LORA: Input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_file_stops_the_job_with_a_sentence(
    content: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(content)
    with pytest.raises(SystemExit) as ended:
        JobSettings.load(["--config", str(file)])
    assert ended.value.code == 78
    assert sentence in capsys.readouterr().err


def test_a_missing_file_stops_the_job_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        JobSettings.load(["--config", "nowhere.yaml"])
    assert "nowhere.yaml: No such file or directory" in capsys.readouterr().err
