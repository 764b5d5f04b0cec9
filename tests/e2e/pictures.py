"""Pictures for the end-to-end tests, good and bad, made on the spot."""

import base64
import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(kind: str, width: int = 64, height: int = 48, *, mode: str = "RGB") -> bytes:
    """A small picture in one of the six formats."""
    pixels = np.random.default_rng(7).integers(0, 255, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header tells any size, with next to no data behind it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + _chunk(b"IEND", b"")
    )


def webp_bomb() -> bytes:
    """About three kilobytes of lossless WebP that decode to 88 million pixels, a third of a gigabyte of RGBA."""
    buffer = io.BytesIO()
    Image.new("RGB", (16383, 5400), (7, 7, 7)).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def text(data: bytes) -> str:
    """Base64 as JSON carries it."""
    return base64.b64encode(data).decode()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
