"""Whether a service answers as the job judged: the very pictures of a run's report, asked for through HTTP.

    python -m tests.e2e.taught_accuracy .ocelli/runs/RUN --url http://127.0.0.1:8000

The version of the run must serve. The job's own scoring counts what the service says (services/finetune/*/evaluation),
and each score stands beside that of the report.
"""

import argparse
import base64
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from services.clip.items import Embedding
from services.finetune import main, reading
from services.finetune.clip import evaluation as clip
from services.finetune.data.examples import ChatExample, DetectionExample, Example, PairExample, only
from services.finetune.detection import evaluation as detection
from services.finetune.llava.evaluation import talk
from services.finetune.owlvit import evaluation as owlvit
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.llava.chat import Message
from shared.images.detections import Detection, Detections

AT_ONCE = 8  # requests
SIDES = ("xmin", "ymin", "xmax", "ymax")
Scores = Mapping[str, float]
Ask = Callable[..., Any]


class Remote:
    """A service in the place of the model that the job judges, `labels` being the classes of a detector."""

    finds_masks = False
    logit_scale = 1.0  # turns no answer, only how sure one is

    def __init__(self, answer: Callable[[Any], Any], labels: Sequence[str] = ()) -> None:
        self._answer, self.labels = answer, labels

    def preprocess(self, item: Any) -> Any:
        """A service prepares its pictures itself."""
        return item

    def predict(self, items: Sequence[Any]) -> list[Any]:
        """The answers, in order."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self._answer, items))


def scores(client: httpx.Client, task: str, model: str, examples: Sequence[Example]) -> Scores:
    """The scores of what `client` is answered about the examples, by the job's names."""

    def ask(path: str, **fields: Any) -> Any:
        return client.post(path, json={"model": model, **fields}).raise_for_status().json()

    if task == "detection":
        labels = [one["label"] for one in client.get(f"/v1/models/{model}/labels").raise_for_status().json()["data"]]
        remote: Any = Remote(lambda item: _found(ask, item), labels)
        return detection.scores(remote, only(DetectionExample, examples))
    if task == "owlvit":
        remote = Remote(lambda item: _found_open(ask, item))
        return owlvit.scores(remote, only(DetectionExample, examples))
    if task == "clip":
        remote = Remote(lambda item: _embedding(ask, item))
        return clip.evaluate(remote, only(PairExample, examples), shown=0).scores
    right = Remote(lambda example: _said(ask, example)).predict(only(ChatExample, examples))
    return {"exact_match": float(np.mean(right))}


def _found(ask: Ask, item: Any) -> Detections:
    least, most = item.parameters.threshold, item.parameters.max_detections
    fields = {"threshold": least, "max_detections": most, "mask_format": "none"}
    return _detections(ask("/v1/detect", image=_text(item.data), **fields))


def _found_open(ask: Ask, item: Any) -> Detections:
    fields = {"threshold": item.parameters.threshold, "max_detections": item.parameters.max_detections}
    labels = [label.name for label in item.query.labels]
    return _detections(ask("/v1/detect/open", image=_text(item.data), labels=labels, **fields))


def _detections(answer: Any) -> Detections:
    found = (
        Detection(tuple(one["box"][side] for side in SIDES), one["label"], one["label_id"], one["score"])
        for one in answer["data"]
    )
    return Detections(answer["image"]["width"], answer["image"]["height"], tuple(found))


def _embedding(ask: Ask, item: Any) -> Embedding:
    shown = {"text": item.text} if item.data is None else {"image": _text(item.data)}
    (found,) = ask("/v1/embeddings", input=[shown])["data"]
    return Embedding(np.asarray(found["embedding"], dtype=np.float32), 0, "")


def _said(ask: Ask, example: ChatExample) -> bool:
    """Whether the whole answer is right."""
    messages = [_message(each) for each in talk(example).messages]
    answer = ask("/v1/chat/completions", messages=messages, temperature=0)["choices"][0]["message"]["content"]
    truth = "\n".join(part.strip() for part in example.turns[-1].parts if isinstance(part, str))
    return bool(answer.strip() == truth)


def _message(message: Message) -> Mapping[str, Any]:
    parts = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_text(part.data)}"}}
        for part in message.parts
    ]
    return {"role": message.role, "content": parts}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def compared(client: httpx.Client, folder: Path) -> Mapping[str, tuple[float, float]]:
    """Each score of the run in `folder`, as its report has it and as the service answers."""
    report = json.loads((folder / "report/report.json").read_text())
    settings, task = JobSettings(**json.loads((folder / "config.json").read_text())), report["task"]
    material = reading.read(main.task(task), settings, Run(folder)).material
    model = report["version"].partition("@")[0]
    told: dict[str, tuple[float, float]] = {}
    for side, examples in (("new", material.validation), ("old", material.old)):
        if examples:
            judged = report["scores"][side]["after"]
            answered = scores(client, task, model, examples)
            told |= {f"{side} {name}": (judged[name], value) for name, value in answered.items() if name in judged}
    return told


def command() -> None:
    """Print a line per score, those of single classes left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    arguments = parser.parse_args()
    with httpx.Client(base_url=arguments.url, timeout=60, trust_env=False) as client:
        for name, (judged, answered) in compared(client, arguments.run).items():
            if "/" not in name:
                print(f"{name:<20} job {judged:.4f}  over HTTP {answered:.4f}")


if __name__ == "__main__":
    command()
