"""The sentences in which a picture is refused."""

from shared.errors import InvalidImage, TooLarge
from shared.settings import Limits


def empty() -> InvalidImage:
    """No bytes at all."""
    return InvalidImage("The picture is empty. Send the bytes of an image file.", code="image_empty")


def truncated() -> InvalidImage:
    """The file ends before its own structure does."""
    return InvalidImage("The picture ends too early. Send the whole file.", code="image_truncated")


def contradictory() -> InvalidImage:
    """The header says one thing and the data another."""
    return InvalidImage("The header of the picture is not valid or does not fit its data. Save the picture anew.")


def unsupported(what: str) -> InvalidImage:
    """A rare variant of a known format, which `what` names."""
    return InvalidImage(f"{what} is not supported. Save the picture as an ordinary PNG or JPEG.")


def intricate() -> InvalidImage:
    """More scans, chunks or blocks than any honest encoder writes; each costs time to read."""
    return InvalidImage("The picture is cut into too many parts. Save it anew with an ordinary encoder.")


def too_large(width: int, height: int, limits: Limits) -> TooLarge:
    """More pixels, or longer sides, than `limits` allow; sizes in pixels."""
    return TooLarge(
        f"The picture has {width} x {height} pixels. Scale it down: at most {limits.image_pixels:,} pixels"
        f" and {limits.image_side:,} on one side are read.",
        code="image_too_large",
    )
