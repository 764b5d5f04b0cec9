"""Every picture of a data set, decoded once in a few threads by the services' own decoder.

source -> bytes (bounded) -> pixels (shared.images) -> Look, or a sentence that says what is wrong
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from services.finetune.data.errors import BrokenRow
from services.finetune.data.examples import Look, Source
from services.finetune.demo.progress import Progress
from shared.errors import OcelliError
from shared.images.decode import decode
from shared.settings import Limits

LIMITS = Limits()
THREADS = min(4, os.cpu_count() or 1)
SIDE = 8


def look_at_all(sources: Iterable[Source]) -> Mapping[Source, Look | BrokenRow]:
    """What each picture is, told at most every two seconds on standard error."""
    wanted = list(dict.fromkeys(sources))
    progress, found = Progress("look at pictures", len(wanted)), {}
    with ThreadPoolExecutor(THREADS) as pool:
        for source, look in zip(wanted, pool.map(_look_or_fault, wanted), strict=True):
            found[source] = look
            progress.tell(len(found))
    return found


def look(source: Source) -> Look:
    """Decode one picture. Raises `BrokenRow`."""
    data = _read(source)
    try:
        picture = decode(data, LIMITS)
    except OcelliError as error:
        name = source.member or source.path.name
        raise BrokenRow(f"the picture '{name}' cannot be used: {error.message}") from None
    digest = hashlib.sha256(data).hexdigest()
    return Look((picture.width, picture.height), digest, likeness(Image.fromarray(picture.pixels)))


def seen(source: Source) -> Look:
    """What was seen of a picture; it is decoded now if it was not before. Raises `BrokenRow`."""
    return source.look or look(source)


def likeness(picture: Image.Image) -> bytes:
    """The picture as 8 x 8 pixels, each the mean of its part."""
    return picture.resize((SIDE, SIDE), Image.Resampling.BOX).tobytes()


def _look_or_fault(source: Source) -> Look | BrokenRow:
    try:
        return look(source)
    except BrokenRow as fault:
        return fault


def _read(source: Source) -> bytes:
    name = source.member or source.path.name
    try:
        count = source.path.stat().st_size if source.size < 0 else source.size
        if count > LIMITS.body_bytes:
            most = LIMITS.body_bytes // 1_000_000
            raise BrokenRow(f"the picture '{name}' has {count / 1e6:.1f} MB. Save it with at most {most} MB.")
        return source.read()
    except OSError:
        raise BrokenRow(f"the picture '{name}' cannot be read. Check its permissions.") from None
