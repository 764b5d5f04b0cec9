"""A multipart/form-data body, cut into parts in memory: bounded in number and headers, without files or file names."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from shared.errors import InvalidRequest
from shared.settings import Limits

MAX_HEADERS = 8
MAX_HEADER_BYTES = 1024


@dataclass(slots=True)
class Part:
    """One part: the name of its field, and its bytes."""

    name: str
    data: bytes


@dataclass(slots=True)
class _Collector:
    """What the parser's callbacks have seen so far."""

    limit: int
    parts: list[Part] = field(default_factory=list)
    header: bytes = b""
    disposition: bytes = b""
    pieces: list[bytes] = field(default_factory=list)
    ended: bool = False

    def begin(self) -> None:
        """A part begins."""
        if len(self.parts) == self.limit:
            raise _invalid(f"has more than {self.limit} parts. Send fewer")
        self.disposition, self.pieces = b"", []

    def header_name(self, data: bytes, start: int, end: int) -> None:
        """The name of a header."""
        self.header = data[start:end].lower()

    def header_value(self, data: bytes, start: int, end: int) -> None:
        """The value of a header; only the one that names the field counts."""
        if self.header == b"content-disposition":
            self.disposition = data[start:end]

    def content(self, data: bytes, start: int, end: int) -> None:
        """A run of the part's bytes."""
        self.pieces.append(data[start:end])

    def finish(self) -> None:
        """A part ends."""
        self.parts.append(Part(_field_name(self.disposition), b"".join(self.pieces)))

    def end(self) -> None:
        """The closing boundary was seen."""
        self.ended = True


def split(content_type: str, body: bytes, limits: Limits) -> list[Part]:
    """The parts of `body` in their order. Raises `InvalidRequest` (code `invalid_multipart`)."""
    boundary = content_type.isascii() and parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise _invalid("has no boundary in its Content-Type. Let the HTTP client set that header")
    seen = _Collector(limits.multipart_parts)
    try:
        MultipartParser(
            boundary,
            {
                "on_part_begin": seen.begin,
                "on_header_field": seen.header_name,
                "on_header_value": seen.header_value,
                "on_part_data": seen.content,
                "on_part_end": seen.finish,
                "on_end": seen.end,
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        ).write(body)
    except FormParserError as error:
        raise _invalid("is malformed, or a part has too many or too long headers. Use an HTTP client's form") from error
    if not seen.ended:
        raise _invalid("ends before its closing boundary. Send the whole body")
    return seen.parts


def _field_name(disposition: bytes) -> str:
    kind, options = parse_options_header(disposition)
    try:
        name = options.get(b"name", b"").decode()
    except UnicodeDecodeError:
        name = ""
    if kind != b"form-data" or not name.isprintable() or not 0 < len(name) <= 64:
        raise _invalid('has a part that is not named. Give each part a Content-Disposition: form-data; name="…"')
    return name


def _invalid(what: str) -> InvalidRequest:
    return InvalidRequest(f"The multipart body {what}.", code="invalid_multipart")
