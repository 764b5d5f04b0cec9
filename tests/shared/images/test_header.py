"""Probing: format and size from the header alone, and the limits, before anything is allocated."""

import subprocess
import sys
import time

import pytest
from PIL import Image

from shared.errors import InvalidImage, TooLarge, UnsupportedMedia
from shared.images.decode import decode
from shared.images.header import Header, probe
from shared.settings import Limits
from tests.shared.images.files import FORMATS, bombs, encoded, png_of, riff, scene, tiff, webp

LIMITS = Limits()
BOMBS = bombs()

GROWTH_OF_BOMBS = """
import re, sys
from pathlib import Path
from shared.errors import TooLarge
from shared.images.decode import decode
from shared.settings import Limits
from tests.shared.images.files import bombs, encoded, scene

def peak_mb(kind):
    return int(re.search(rf"{kind}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

files = bombs()
for fmt in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
    decode(encoded(scene(), fmt), Limits())
Path("/proc/self/clear_refs").write_text("5")
before = peak_mb("VmHWM"), peak_mb("VmPeak")
for data in files.values():
    try:
        decode(data, Limits())
        sys.exit("a bomb was decoded")
    except TooLarge:
        pass
print(peak_mb("VmHWM") - before[0], peak_mb("VmPeak") - before[1])
"""


@pytest.mark.parametrize("fmt", FORMATS)
def test_header_tells_format_and_size(fmt: str) -> None:
    assert probe(encoded(scene(96, 64), fmt), LIMITS) == Header(fmt, 96, 64)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"quality": 50}, {"lossless": True}, {"exif": b"Exif\0\0"}])
def test_all_three_kinds_of_webp_tell_their_size(options: dict[str, object]) -> None:
    assert probe(encoded(scene(301, 97), "WEBP", **options), LIMITS) == Header("WEBP", 301, 97)


def test_animated_webp_tells_the_size_of_its_canvas() -> None:
    frames = [scene(50, 40), Image.new("RGB", (50, 40))]
    assert probe(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]), LIMITS).width == 50


def test_old_os2_bitmap_tells_its_size() -> None:
    header = b"BM" + bytes(8) + (26).to_bytes(4, "little") + (12).to_bytes(4, "little")
    assert probe(header + b"\x07\0\x05\0\1\0\x18\0", LIMITS) == Header("BMP", 7, 5)


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_within_10_ms_with_the_numbers(name: str) -> None:
    began = time.thread_time()
    with pytest.raises(TooLarge) as caught:
        decode(BOMBS[name], LIMITS, field="images[1]")
    assert time.thread_time() - began < 0.010
    assert (caught.value.code, caught.value.param) == ("image_too_large", "images[1]")
    assert "25,000,000" in caught.value.message


def test_refused_bombs_grow_neither_resident_nor_mapped_memory() -> None:
    ran = subprocess.run([sys.executable, "-c", GROWTH_OF_BOMBS], capture_output=True, text=True, check=True)
    resident_mb, mapped_mb = (float(number) for number in ran.stdout.split())
    assert resident_mb < 4
    assert mapped_mb < 4


def test_smallest_bomb_is_a_real_picture_where_the_limits_allow_it() -> None:
    assert decode(webp(300, 200), LIMITS).pixels.shape == (200, 300, 3)


@pytest.mark.parametrize(
    ("width", "height", "fits"), [(50, 40, True), (51, 40, False), (101, 1, False), (100, 20, True)]
)
def test_limits_hold_exactly(width: int, height: int, fits: bool) -> None:
    limits = Limits(image_pixels=2000, image_side=100)
    data = encoded(scene(width, height), "PNG")
    if fits:
        assert decode(data, limits).width == width
    else:
        with pytest.raises(TooLarge, match=f"{width} x {height}"):
            decode(data, limits)


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"\x7fELF",
        b"8BPS\0\1",
        b"SIMPLE  =",
        b"\0\0\0\x20ftypavif",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"\xff\xd8",
        b"GIF88a",
        encoded(scene(), "PPM"),
        encoded(scene(), "ICO"),
        encoded(scene(), "JPEG2000"),
    ],
)
def test_other_formats_are_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        probe(data, LIMITS)


def test_empty_picture_has_its_own_code() -> None:
    with pytest.raises(InvalidImage) as caught:
        probe(b"", LIMITS)
    assert caught.value.code == "image_empty"


@pytest.mark.parametrize(
    "data",
    [
        png_of(0, 5, 8, 2),
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x0dIDAT" + bytes(17),
        b"BM" + bytes(12) + (40).to_bytes(4, "little") + b"\xff" * 4 + b"\1\0\0\0" + bytes(28),
        riff(b"VP8L", b"\x2e" + bytes(9)),
        riff(b"VP8 ", bytes(10)),
        riff(b"ALPH", bytes(10)),
        tiff({256: (3, 1, 5)}),
        tiff({256: (2, 1, 5), 257: (3, 1, 5)}),
        b"GIF89a\1\0\1\0\0\0\0;;",
        b"\xff\xd8\xff\xda\0\2\xff\xd9",
    ],
)
def test_senseless_headers_are_invalid(data: bytes) -> None:
    with pytest.raises(InvalidImage, match="header"):
        probe(data, LIMITS)


@pytest.mark.parametrize("fmt", FORMATS)
def test_magic_number_alone_is_truncated(fmt: str) -> None:
    with pytest.raises(InvalidImage) as caught:
        probe(encoded(scene(), fmt)[:12], LIMITS)
    assert caught.value.code == "image_truncated"
