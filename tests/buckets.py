"""An S3 server for tests, and a line to it that can be cut: moto's, as a process of its own, on a port that the system
chooses. It keeps conditions (`If-None-Match`) and takes every key.
"""

import contextlib
import re
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

READ = 1 << 16
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "a-key-of-tests",
    "AWS_SECRET_ACCESS_KEY": "a-secret-of-tests",
    "AWS_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The URL of a server with no bucket, until the block ends."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    log = threading.Thread(target=process.stderr.read, daemon=True)
    try:
        url = next(found[0] for line in process.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        log.start()
        yield url
    finally:
        process.kill()
        process.wait()
        log.join()
        process.stderr.close()


def make_bucket(url: str, name: str | None = None) -> str:
    """The name of a new bucket at the server, made with the key that the environment names."""
    import boto3

    name = name or f"bucket-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket=name)
    return name


class Line:
    """A TCP line to a server: it can be taken away, and it can break after some bytes of an answer."""

    def __init__(self, server: str) -> None:
        self._server = (urlsplit(server).hostname, urlsplit(server).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.breaks: list[int] = []  # bytes of an answer after which the next connections break, one each
        self.broken = 0
        self.up = True
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if not self.up:
                return
            with socket.create_connection(self._server) as server:
                threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
                self._answer(server, client)
                client.shutdown(socket.SHUT_RDWR)  # closing alone waits for the thread that reads

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while self.up and (data := client.recv(READ)):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        left: int | None = None
        while data := server.recv(READ):
            if left is None:
                left = self.breaks.pop(0) if self.breaks else -1
            if not self.up or 0 <= left < len(data):
                client.sendall(data[:left] if self.up else b"")
                self.broken += self.up
                return
            client.sendall(data)
            left -= len(data) if left > 0 else 0
