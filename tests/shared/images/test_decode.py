"""Decoding: upright RGB pixels from six formats, and our own errors from everything else."""

import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.errors import InvalidImage, OcelliError
from shared.images.containers import jpeg
from shared.images.decode import decode
from shared.settings import Limits
from tests.shared.images.files import FORMATS, chunk, encoded, png, png_of, scene, tiff_of

LIMITS = Limits()
EXACT = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}}
# What turns the upright picture into the one that a camera held in that way stores.
HELD = {
    1: (),
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_90,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_270,),
}


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[274] = orientation
    return block


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_format_decodes_close_to_what_was_encoded(fmt: str) -> None:
    picture = decode(encoded(scene(96, 64), fmt), LIMITS)
    assert (picture.width, picture.height) == (96, 64)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.flags.writeable
    difference = np.abs(picture.pixels.astype(int) - np.asarray(scene(96, 64)))
    assert difference.mean() < (0.01 if fmt in EXACT and fmt != "WEBP" else 6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("fmt", "options"),
    [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("TIFF", {"compression": "tiff_deflate"})],
)
def test_every_orientation_maps_back_exactly(fmt: str, options: dict[str, object], orientation: int) -> None:
    upright = stored = scene(31, 17)
    for step in HELD[orientation]:
        stored = stored.transpose(step)
    picture = decode(encoded(stored, fmt, exif=exif(orientation), **options), LIMITS)
    assert np.array_equal(picture.pixels, np.asarray(upright))
    assert picture.pixels.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_orientation_equals_the_turned_unoriented_picture(orientation: int) -> None:
    stored = scene(48, 32)
    for step in HELD[orientation]:
        stored = stored.transpose(step)
    picture = decode(encoded(stored, "JPEG", exif=exif(orientation), quality=95), LIMITS)
    assert np.abs(picture.pixels.astype(int) - np.asarray(scene(48, 32))).mean() < 3


@pytest.mark.parametrize(
    "block", [b"", b"II", b"II\x2a\0\xff\xff\xff\xff", b"garbage" * 9, b"MM\0\x2a\0\0\0\x08\xff\xff" + b"\x01\x12" * 40]
)
def test_corrupt_exif_is_ignored(block: bytes) -> None:
    data = encoded(scene(), "JPEG")
    damaged = data[:2] + segment(0xE1, b"Exif\0\0" + block) + data[2:]
    assert np.array_equal(decode(damaged, LIMITS).pixels, decode(data, LIMITS).pixels)


def test_metadata_bombs_are_dropped_unread() -> None:
    plain = png(np.asarray(scene()), 2)
    text = chunk(b"zTXt", b"Comment\0\0" + b"\x78\x9c" + b"\xff" * 900_000)
    profile = chunk(b"iCCP", b"icc\0\0" + b"\xff" * 900_000)
    bomb = png(np.asarray(scene()), 2, text, profile, chunk(b"acTL", struct.pack(">II", 9999, 0)))
    assert np.array_equal(decode(bomb, LIMITS).pixels, decode(plain, LIMITS).pixels)


def test_jpeg_metadata_and_polyglot_tail_are_ignored() -> None:
    data = encoded(scene(), "JPEG")
    padded = data[:2] + segment(0xE2, b"MPF\0" + b"\xff" * 9000) + segment(0xFE, b"<?php") + data[2:] + b"PK\x03\x04"
    assert np.array_equal(decode(padded, LIMITS).pixels, decode(data, LIMITS).pixels)


def test_progressive_jpeg_decodes_and_a_scan_bomb_is_refused() -> None:
    data = encoded(scene(), "JPEG", progressive=True)
    assert decode(data, LIMITS).width == 96
    last = [part for part in jpeg._segments(data) if part.marker == 0xDA][-1]
    bomb = data[: last.end] + data[last.start : last.end] * jpeg.MAX_SCANS + data[last.end :]
    with pytest.raises(InvalidImage, match="too many parts"):
        decode(bomb, LIMITS)


def test_a_hundred_thousand_parts_are_refused() -> None:
    with pytest.raises(InvalidImage, match="too many parts"):
        decode(png_of(4, 4, 8, 2, chunk(b"teXt", b"") * 100_001), LIMITS)
    with pytest.raises(InvalidImage, match="too many parts"):
        decode(b"GIF89a\4\0\4\0\0\0\0" + b"!\xfe\0" * 100_001, LIMITS)


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation_is_decoded(fmt: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue", "lime")]
    picture = decode(encoded(frames[0], fmt, save_all=True, append_images=frames[1:]), LIMITS)
    assert np.abs(picture.pixels.astype(int) - (255, 0, 0)).max() < 4


@pytest.mark.parametrize("fmt", FORMATS)
def test_truncation_is_told_at_every_percent(fmt: str) -> None:
    data = encoded(scene(), fmt)
    codes = set()
    for percent in range(100):
        with pytest.raises(InvalidImage) as caught:
            decode(data[: max(12, len(data) * percent // 100)], LIMITS)  # 12 bytes tell every format
        codes.add(caught.value.code)
    assert codes == {"image_truncated"}


@pytest.mark.parametrize(
    "data",
    [
        png_of(100, 100, 8, 2, chunk(b"IDAT", b"\x78\x9c\x03\0\0\0\0\x01")),
        png_of(4, 4, 8, 2),
        png_of(4, 4, 8, 3, chunk(b"IDAT", zlib.compress(bytes(20)))),
        png(np.asarray(scene()), 2)[:60] + b"\0" * 8 + png(np.asarray(scene()), 2)[68:],
        png_of(4, 4, 5, 9, chunk(b"IDAT", b"")),
        tiff_of(4, 4, b"not deflate at all", compression=8),
        encoded(scene(), "JPEG").replace(b"\xff\xc4", b"\xff\xc4\0\x05\x01\xff\xff\xff\xc4", 1),
    ],
)
def test_headers_that_lie_and_damaged_data_are_invalid(data: bytes) -> None:
    with pytest.raises(InvalidImage):
        decode(data, LIMITS)


def test_rare_variants_are_refused_in_words() -> None:
    with pytest.raises(InvalidImage, match="compression of TIFF"):
        decode(tiff_of(4, 4, bytes(16), compression=50000), LIMITS)
    with pytest.raises(InvalidImage, match="too many parts"):
        decode(tiff_of(4, 4, bytes(16), compression=1, t322=60_000, t323=60_000), LIMITS)
    run_length = bytearray(encoded(scene().convert("P"), "BMP"))
    run_length[30] = 1
    with pytest.raises(InvalidImage, match="run-length"):
        decode(bytes(run_length), LIMITS)
    with pytest.raises(InvalidImage, match="32-bit samples"):
        decode(encoded(Image.new("I", (4, 4)), "TIFF"), LIMITS)


def test_no_text_of_the_decoder_reaches_the_caller() -> None:
    with pytest.raises(InvalidImage) as caught:
        decode(png_of(100, 100, 8, 2, chunk(b"IDAT", b"junk")), LIMITS, field="images[3]")
    assert caught.value.message == InvalidImage.default_message
    assert caught.value.param == "images[3]"


def test_pillows_own_pixel_limit_plays_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert decode(encoded(scene(200, 100), "PNG"), LIMITS).width == 200


def test_threads_decode_at_once_without_mixing_pictures() -> None:
    colours = [(i * 16, 255 - i * 16, 7) for i in range(16)]
    files = [encoded(Image.new("RGB", (64, 64), colour), "PNG") for colour in colours]
    gate = threading.Barrier(4)

    def run(offset: int) -> None:
        gate.wait()
        for i in range(16):
            n = (i + offset) % 16
            assert (decode(files[n], LIMITS).pixels == colours[n]).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))


FILES = [encoded(scene(24, 16), fmt) for fmt in FORMATS] + [
    encoded(scene(24, 16), "TIFF", compression="tiff_lzw"),
    encoded(scene(24, 16), "JPEG", progressive=True, exif=exif(6)),
    encoded(scene(24, 16).convert("P"), "PNG", transparency=3, exif=exif(8)),
    encoded(scene(24, 16), "WEBP", exif=exif(3)),
]


@settings(max_examples=400, deadline=None)
@given(
    data=st.sampled_from(FILES),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    front=st.booleans(),
    cut=st.integers(0, 40),
)
def test_mutated_bytes_give_a_picture_or_our_own_error(
    data: bytes, flips: list[tuple[float, int]], front: bool, cut: int
) -> None:
    mutated = bytearray(data)
    for place, value in flips:
        mutated[int(place * (64 if front else len(data)))] = value
    try:
        picture = decode(bytes(mutated[: len(mutated) - cut]), Limits(image_pixels=1_000_000))
    except OcelliError as error:
        assert error.status in {400, 413, 415}
    else:
        assert picture.pixels.shape[2] == 3
