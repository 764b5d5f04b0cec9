"""Colour models: each against a reference that the test computes from the numbers it wrote."""

import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageChops

from shared.errors import InvalidImage
from shared.images.decode import decode
from shared.settings import Limits
from tests.shared.images.files import chunk, encoded, png, scene

LIMITS = Limits()
RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)
LEVELS = np.rint(RAMP / 257).astype(int)


def rgb(data: bytes) -> NDArray[np.int64]:
    return decode(data, LIMITS).pixels.astype(np.int64)


def on_white(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.float64]:
    share = alpha[..., None].astype(np.float64) / 255
    blended: NDArray[np.float64] = colour * share + 255 * (1 - share)
    return blended


def with_adobe_transform(data: bytes, transform: int) -> bytes:
    at = data.index(b"Adobe") + 11
    return data[:at] + bytes((transform,)) + data[at + 1 :]


def without_adobe(data: bytes) -> bytes:
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + struct.unpack_from(">H", data, at + 2)[0] :]


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_16_bit_png_is_scaled_not_clipped(colour: int) -> None:
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    pixels = np.repeat(RAMP[:, :, None], channels, axis=2)
    if colour in {4, 6}:
        pixels[:, :, -1] = 65535
    assert np.abs(rgb(png(pixels, colour)) - LEVELS[:, :, None]).max() <= (0 if colour == 0 else 1)


def test_16_bit_alpha_is_composited_on_white() -> None:
    pixels = np.zeros((256, 256, 4), np.uint16)
    pixels[:, :, 3] = RAMP
    assert np.abs(rgb(png(pixels, 6)) - (255 - LEVELS)[:, :, None]).max() <= 1


@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
def test_16_bit_grey_tiff_is_scaled(compression: str | None) -> None:
    data = encoded(Image.fromarray(RAMP), "TIFF", compression=compression)
    assert np.abs(rgb(data) - LEVELS[:, :, None]).max() == 0


def test_16_bit_grey_tiff_with_white_as_zero_is_inverted() -> None:
    data = encoded(Image.fromarray(RAMP), "TIFF", tiffinfo={262: 0})
    assert np.abs(rgb(data) - (255 - LEVELS)[:, :, None]).max() == 0


def test_float_tiff_is_scaled_from_zero_to_one_and_nan_is_black() -> None:
    values = np.array([[-1.0, 0.0, 0.5, 1.0, 9.0, np.nan, np.inf]], np.float32)
    assert rgb(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 0, 128, 255, 255, 0, 255]


def test_float_tiff_is_scaled_from_the_range_in_its_tags() -> None:
    values = np.array([[-10.0, 0.0, 10.0]], np.float32)
    data = encoded(Image.fromarray(values), "TIFF", tiffinfo={340: -10.0, 341: 10.0})
    assert rgb(data)[0, :, 0].tolist() == [0, 128, 255]


def test_float_tiff_with_a_senseless_range_is_invalid() -> None:
    data = encoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF", tiffinfo={340: 3.0, 341: 3.0})
    with pytest.raises(InvalidImage):
        decode(data, LIMITS)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
@pytest.mark.parametrize("fmt", ["PNG", "BMP", "GIF", "TIFF"])
def test_grey_palette_and_1_bit_equal_their_rgb(mode: str, fmt: str) -> None:
    image = scene().convert(mode)
    assert np.array_equal(rgb(encoded(image, fmt)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(("mode", "fmt"), [("LA", "PNG"), ("RGBA", "PNG"), ("RGBA", "TIFF"), ("RGBA", "WEBP")])
def test_alpha_is_composited_on_white(mode: str, fmt: str) -> None:
    image = scene().convert(mode)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    options = {"lossless": True, "exact": True} if fmt == "WEBP" else {}
    pixels = np.asarray(image.convert("RGBA"))
    expected = on_white(pixels[:, :, :3], pixels[:, :, 3])
    assert np.abs(rgb(encoded(image, fmt, **options)) - expected).max() <= 1


@pytest.mark.parametrize("fmt", ["PNG", "GIF"])
def test_transparent_palette_entry_becomes_white(fmt: str) -> None:
    image = Image.new("P", (4, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putdata([0, 1, 0, 1])
    pixels = rgb(encoded(image, fmt, transparency=1))
    assert pixels[0].tolist() == [[10, 20, 30], [255, 255, 255]] * 2


@pytest.mark.parametrize(("bits", "grey"), [(np.uint8, 200), (np.uint16, 51400)])
def test_transparent_grey_becomes_white(bits: type[np.unsignedinteger], grey: int) -> None:
    pixels = np.array([[[0], [grey]]], bits)
    data = png(pixels, 0, chunk(b"tRNS", struct.pack(">H", grey)))
    assert rgb(data)[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_transparent_colour_becomes_white_in_8_bits_and_is_ignored_in_16() -> None:
    colour = np.array([[[1, 2, 3], [9, 9, 9]]], np.uint8)
    key = chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    assert rgb(png(colour, 2, key))[0].tolist() == [[255, 255, 255], [9, 9, 9]]
    assert rgb(png(colour.astype(np.uint16) * 257, 2, key))[0].tolist() == [[1, 2, 3], [9, 9, 9]]


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_jpeg_is_right_with_and_without_the_adobe_marker(adobe: bool) -> None:
    cmyk = scene().convert("CMYK")
    stored = cmyk if adobe else ImageChops.invert(cmyk)  # Pillow inverts on writing, as Adobe does
    data = encoded(stored, "JPEG", quality=100, subsampling=0)
    data = data if adobe else without_adobe(data)
    assert np.abs(rgb(data) - np.asarray(scene())).max() <= 6


def test_ycck_jpeg_is_converted() -> None:
    inks = ImageChops.invert(scene()).convert("YCbCr").split()
    samples = Image.merge("CMYK", (*inks, Image.new("L", scene().size, 255)))
    data = encoded(ImageChops.invert(samples), "JPEG", quality=100, subsampling=0)
    assert np.abs(rgb(with_adobe_transform(data, 2)) - np.asarray(scene())).max() <= 6


def test_cmyk_tiff_is_converted() -> None:
    assert np.abs(rgb(encoded(scene().convert("CMYK"), "TIFF")) - np.asarray(scene())).max() <= 1
