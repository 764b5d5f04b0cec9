"""The four dashboards as files of Grafana: run it to write `dashboards/*.json` again."""

import json
from pathlib import Path

from gpu import GPU
from overview import OVERVIEW
from rollout import ROLLOUT

from models import MODEL_PAGE

FOLDER = Path(__file__).parent / "dashboards"


def files() -> dict[Path, str]:
    """The text of each file."""
    pages = (OVERVIEW, MODEL_PAGE, GPU, ROLLOUT)
    return {FOLDER / f"{page.uid}.json": json.dumps(page.render(), indent=1) + "\n" for page in pages}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
