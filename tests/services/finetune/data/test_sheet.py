"""The contact sheet."""

import io
from pathlib import Path

from PIL import Image

from services.finetune.data.formats import read
from services.finetune.data.sheet import sheet
from tests.services.finetune.data.pictures import coco_file, lines, pictures, put


def test_a_sheet_shows_boxes_masks_and_texts(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png")
    content = coco_file()
    content["annotations"][0]["segmentation"] = [[4, 5, 14, 5, 14, 17]]
    data = read(put(tmp_path / "annotations.json", content), "detection")
    drawn = Image.open(io.BytesIO(sheet(data.examples)))
    colours = {colour for _, colour in drawn.getcolors(1 << 20) or ()}
    assert {(0xD8, 0x1B, 0x60), (0x1E, 0x88, 0xE5)} <= colours
    pair = {"image": "a.png", "text": "a cat"}
    chat = {"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello."}]}
    for source, task in ((lines(tmp_path / "p.jsonl", [pair]), "clip"), (lines(tmp_path / "c.jsonl", [chat]), "llava")):
        one = Image.open(io.BytesIO(sheet(read(source, task).examples)))
        assert len(one.getcolors(1 << 20) or ()) > 10
