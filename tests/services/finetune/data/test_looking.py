"""Pictures of training data: what is seen of them, and each way in which one can be broken."""

import io
from pathlib import Path

import pytest
from PIL import Image

from services.finetune.data import coco
from services.finetune.data.examples import Source
from services.finetune.data.looking import look
from tests.services.finetune.data.pictures import coco_file, pictures, png, problems, put


def written(folder: Path, content: object) -> Path:
    pictures(folder / "images", "a.png", "b.png")
    return put(folder / "annotations.json", content)


def test_a_picture_is_seen_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "JPEG", exif=exif)
    assert look(Source(put(tmp_path / "turned.jpg", file.getvalue()))).size == (30, 40)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"plain words", "the picture 'a.png' cannot be used: This is not a picture of a supported format."),
        (b"", "cannot be used: The picture is empty."),
        (png("red")[:60], "cannot be used: The picture ends too early."),
        (png("red", (16_385, 1)), "cannot be used: The picture has 16385 x 1 pixels. Scale it down"),
        (png("red") + b"\0" * 20_000_000, "the picture 'a.png' has 20.0 MB. Save it with at most 20 MB."),
    ],
)
def test_a_picture_that_cannot_be_decoded_is_named_with_its_row(tmp_path: Path, data: bytes, sentence: str) -> None:
    file = written(tmp_path, coco_file())
    put(tmp_path / "images/a.png", data)
    ((at, what),) = problems(coco.read(file))
    assert at == "images[0]"
    assert sentence in what


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "set", coco_file())
    put(tmp_path / "secret.png", png("red"))
    (tmp_path / "set/images/a.png").unlink()
    (tmp_path / "set/images/a.png").symlink_to(tmp_path / "secret.png")
    assert problems(coco.read(file)) == [
        ("images[0]", "'a.png' is a link that leads out of the data set's folder. Copy the file there.")
    ]
