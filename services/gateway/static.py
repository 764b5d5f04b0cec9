"""The static files of the API page: read once, served with a policy that lets nothing else in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.serving.answers import Headers
from shared.serving.middleware import Send

FOLDER = Path(__file__).parent / "pages"
FILES = {
    "/docs": ("docs.html", b"text/html; charset=utf-8"),
    "/docs/docs.css": ("docs.css", b"text/css; charset=utf-8"),
    "/docs/docs.js": ("docs.js", b"text/javascript; charset=utf-8"),
}
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
GUARDS: Headers = [
    (b"content-security-policy", POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
]


@dataclass(frozen=True, slots=True)
class Page:
    """A file, ready to be sent."""

    data: bytes
    kind: bytes

    async def respond(self, send: Send) -> None:
        """Answer with the file."""
        await respond(send, self.data, headers=[(b"content-type", self.kind), *GUARDS])


def load_pages() -> Mapping[str, Page]:
    """The files by public path."""
    return {path: Page((FOLDER / name).read_bytes(), kind) for path, (name, kind) in FILES.items()}


async def respond(send: Send, data: bytes, *, headers: Headers, status: int = 200) -> None:
    """Send a complete answer."""
    sized = [*headers, (b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": data})
