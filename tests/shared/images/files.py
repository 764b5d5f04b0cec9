"""Picture files for the tests: honest ones by Pillow, deep and hostile ones byte by byte."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def scene(width: int = 96, height: int = 64) -> Image.Image:
    """A smooth picture whose four corners differ, so that no turn or mirroring maps it to itself."""
    y, x = np.mgrid[:height, :width]
    planes = (x * 255 // width, y * 255 // height, (x + 2 * y) * 255 // (width + 2 * height))
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def encoded(image: Image.Image, fmt: str, **options: Any) -> bytes:
    """`image` as a file."""
    file = io.BytesIO()
    image.save(file, fmt, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: NDArray[Any], colour: int, *extra: bytes) -> bytes:
    """A PNG of HxWxC `pixels` (uint8 or uint16) with its colour type, and `extra` chunks before the data."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(pixels.dtype.newbyteorder(">"))
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return png_of(width, height, pixels.itemsize * 8, colour, *extra, chunk(b"IDAT", data))


def png_of(width: int, height: int, bits: int, colour: int, *chunks: bytes) -> bytes:
    """A PNG with any header and any chunks."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def webp(width: int, height: int) -> bytes:
    """A lossless WebP of one colour: five codes of one symbol each, which take no bits per pixel at all."""
    bits = (width - 1) | (height - 1) << 14
    data = b"\x2f" + (bits | 0b0001_0001_0001_0001_0001 << 35).to_bytes(12, "little")
    return riff(b"VP8L", data)


def riff(kind: bytes, data: bytes) -> bytes:
    """A WebP file of one chunk."""
    body = b"WEBP" + kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(entries: dict[int, tuple[int, int, int]], tail: bytes = b"") -> bytes:
    """A little-endian TIFF whose tags have (type, count, value or offset); `tail` begins at offset 4096."""
    directory = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(entries.items()))
    head = b"II\x2a\0" + struct.pack("<IH", 8, len(entries)) + directory + b"\0" * 4
    return head.ljust(4096, b"\0") + tail


def tiff_of(width: int, height: int, data: bytes, *, compression: int, **tags: int) -> bytes:
    """A grey 8-bit TIFF of one strip."""
    entries = {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 1, 8),
        259: (3, 1, compression),
        262: (3, 1, 1),
        273: (4, 1, 4096),
        278: (4, 1, height),
        279: (4, 1, len(data)),
    }
    return tiff(entries | {int(tag.removeprefix("t")): (4, 1, value) for tag, value in tags.items()}, data)


def bombs() -> dict[str, bytes]:
    """Small files that would unpack to hundreds of megabytes; each is refused by its header."""
    rows = zlib.compress(bytes(13300 * 1664), 9)
    frames = [Image.new("RGB", (8, 8), (9 * i, 0, 0)) for i in range(12)]
    animated = bytearray(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    animated[24:30] = (16383 - 1).to_bytes(3, "little") * 2
    return {
        "webp lossless 88 MP": webp(16383, 5400),
        "webp lossless 268 MP": webp(16383, 16383),
        "webp animated 268 MP": bytes(animated),
        "png 1-bit 177 MP": png_of(13300, 13300, 1, 0, chunk(b"IDAT", rows)),
        "png 2^31-1": png_of(2**31 - 1, 2**31 - 1, 8, 6),
        "tiff deflate 176 MP": tiff_of(13266, 13266, zlib.compress(bytes(13266 * 13266 // 8), 9), compression=8),
        "gif 4295 MP": b"GIF89a" + b"\xff" * 4 + b"\0\0\0" + b"," + b"\0" * 4 + b"\xff" * 4 + b"\0\x02\x01\0\0;",
        "gif frame beyond a small screen": b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x01\0\0;",
        "bmp 25.4 GP": b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 159_383, -159_383, 1, 1, 0, 0, 0, 0, 0, 0),
        "jpeg 65500 x 65500": b"\xff\xd8\xff\xc0\0\x11\x08\xff\xdc\xff\xdc\3\1\x11\0\2\x11\0\3\x11\0\xff\xd9",
    }
