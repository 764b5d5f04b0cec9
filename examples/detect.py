"""Ask the detection service about a picture and draw what it found.

    python examples/detect.py examples/scene.jpg found.jpg [--model mask-rcnn] [--url http://127.0.0.1:8000]

Prints one line per object. Needs httpx and Pillow.
"""

import argparse
import sys
from pathlib import Path

import httpx
from PIL import Image, ImageDraw, ImageFont

COLOURS = ("#1b9e77", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d", "#3366cc")


def main() -> int:
    """Post the picture, print and draw the answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="mask-rcnn")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    arguments = parser.parse_args()
    answer = httpx.post(
        f"{arguments.url}/v1/detect",
        params={"model": arguments.model, "mask_format": "polygon" if arguments.model == "mask-rcnn" else "none"},
        content=arguments.picture.read_bytes(),
        headers={"content-type": "application/octet-stream"},
        timeout=60,
    )
    if answer.is_error:
        sys.stderr.write(f"{answer.json()['error']['message']}\n")
        return 1
    draw(arguments.picture, answer.json()["data"]).save(arguments.output)
    for item in answer.json()["data"]:
        sys.stdout.write(f"{item['label']:<10} {item['score']:.2f}  {item['box']}\n")
    return 0


def draw(path: Path, found: list[dict]) -> Image.Image:  # type: ignore[type-arg]
    """The picture with a box, a label and, where there is one, the mask of each object."""
    picture = Image.open(path).convert("RGB")
    pen, font = ImageDraw.Draw(picture, "RGBA"), ImageFont.load_default(size=16)
    for item in found:
        colour = COLOURS[(item["label_id"] - 1) % len(COLOURS)]
        for ring in item.get("mask", {}).get("polygons", ()):
            pen.polygon(ring, fill=f"{colour}66")
        box = [item["box"][side] for side in ("xmin", "ymin", "xmax", "ymax")]
        pen.rectangle(box, outline=colour, width=3)
        text = f"{item['label']} {item['score']:.2f}"
        place = (box[0], max(0, box[1] - 20))
        pen.rectangle(pen.textbbox(place, text, font=font), fill=colour)
        pen.text(place, text, fill="white", font=font)
    return picture


if __name__ == "__main__":
    raise SystemExit(main())
