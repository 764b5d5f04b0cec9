"""A store in a bucket of S3, or of a server that speaks its protocol. Key, endpoint and region come from the usual
variables: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_REGION.

A file is created by a conditional put (`If-None-Match: *`), which the server grants to one of many. Two traps:
a put whose answer was lost is sent again and meets itself, and the file system below makes buckets that nobody meant.

Whatever fails is told in a sentence of ours that names the variable to look at, and never a key.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import ClientError as BrokenLine
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

from shared.weights.errors import StoreAway, StoreError
from shared.weights.storage import Storage

PARTS = 100 << 20  # from here on the file system sends parts, to which Ceph knows no condition
RETRIES = 5  # times that one request is sent, or one download taken up, on top of a few of the client's own
LIBRARIES = ("aiobotocore", "botocore", "fsspec", "s3fs")
TIMES = {"connect_timeout": 3, "read_timeout": 20, "retries": {"mode": "standard", "max_attempts": 1}}
TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412"}
BUSY = {"InternalError", "ServiceUnavailable", "SlowDown", "500", "502", "503", "504"}
SILENT = (BrokenLine, NoConnection, HTTPClientError, ResponseParserError, OSError)
ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
MISNAMED = {"InvalidBucketName"}
CORRECT = "Correct OCELLI_STORE."
SET = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
CHECK = "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that this key may list, read and write there."


def options() -> dict[str, Any]:
    """What the file system is opened with. The endpoint is named, so that two endpoints are two file systems."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return {
        "endpoint_url": endpoint or None,
        "client_kwargs": {"region_name": region} if region else {},
        "config_kwargs": TIMES,
    }


class S3Storage(Storage):
    """A store whose versions are objects of a bucket, fetched before they are read."""

    def __init__(self, fs: Any, root: str) -> None:
        super().__init__(fs, root)
        self._bucket = self.root.split("/")[0]
        if not self._bucket or "@" in self.root or "?" in self.root:
            raise StoreError("The URL of an S3 store is s3://<bucket>/<folder>; a key belongs into AWS_ACCESS_KEY_ID.")
        fs.retries = RETRIES
        for library in LIBRARIES:
            logging.getLogger(library).setLevel(logging.WARNING)  # below, they log headers, and tokens with them

    def names(self, path: str) -> list[str]:
        """What lies directly in `path`, sorted. Raises `StoreError` where there is no such bucket."""
        with self._asking():
            try:
                entries = self.fs.ls(self._full(path), detail=False)
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise
                return []
        return self._visible(entries)

    def read(self, path: str, limit: int) -> bytes:
        """The bytes of a small file, by one request. Raises `FileNotFoundError`, and `StoreError` over `limit`."""
        with self._asking():
            return super().read(path, limit)

    def exists(self, path: str) -> bool:
        """Whether there is a file at `path`."""
        with self._asking():
            return super().exists(path)

    def create(self, path: str, data: bytes) -> None:
        """Write a small file in one step. Raises `FileExistsError` if there is one with other bytes."""
        try:
            with self._asking():
                super().create(path, data)
        except FileExistsError:
            if self.read(path, len(data) + (1 << 20)) != data:
                raise

    def copy(self, path: str, target: Path) -> None:
        """Bring one file to the local path `target`; a connection that breaks is taken up where it broke."""
        with self._asking():
            super().copy(path, target)

    def sha256(self, path: str) -> str:
        """The SHA-256 of a file's bytes."""
        with self._asking():
            return super().sha256(path)

    def _upload(self, source: Path, path: str, sha256: str) -> None:
        """Put a file unless there is one; what goes in parts is claimed first, by a put that is conditional."""
        if source.stat().st_size >= PARTS:
            self.create(f"claims/{path}", sha256.encode())
            if self.exists(path):
                raise FileExistsError(path)
        with self._asking():
            super()._upload(source, path, sha256)

    def _with_parent(self, path: str) -> str:
        return self._full(path)  # there are no folders, and making one would make the bucket

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (*SILENT, BotoCoreError, ClientError, ValueError) as error:
            code = _code(error)
            if isinstance(error, FileExistsError) or code in TAKEN:
                raise FileExistsError(self.root) from error
            if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
                raise
            raise self._told(error, code) from error

    def _told(self, error: Exception, code: str) -> StoreError:
        where, bucket = f"the store s3://{self.root}", f"{self._bucket[:80]!r}"
        if code in BUSY or (not code and isinstance(error, SILENT)):
            return StoreAway(f"The server of {where} does not answer. Check AWS_ENDPOINT_URL, and that it runs.")
        for told, sentence in (
            (code == "NoSuchBucket", f"There is no bucket {bucket} at this server. Make it, or correct OCELLI_STORE."),
            (code in ELSEWHERE, f"The bucket {bucket} lies in another region. Set AWS_REGION to it."),
            (code == "RequestTimeTooSkewed", f"The clock of this machine and that of {where} differ. Set this one."),
            (code in MISNAMED or isinstance(error, ParamValidationError), f"{bucket} cannot name a bucket. {CORRECT}"),
            (isinstance(error, PermissionError), f"The server of {where} refuses the key. {CHECK}"),
            (isinstance(error, BotoCoreError), f"There is no key for {where}. {SET}"),
            (isinstance(error, ValueError), "AWS_ENDPOINT_URL is not a URL. Write it as https://host:port."),
        ):
            if told:
                return StoreError(sentence)
        return StoreError(f"The server of {where} did not do what was asked. Its log tells why.")


def _code(error: BaseException) -> str:
    """The code of S3's answer that an error stands for; empty where there was no answer."""
    for found in (error, error.__cause__):
        response = getattr(found, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""
