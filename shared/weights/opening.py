"""Which storage a URL means: a local disk, a bucket of S3, or any other file system that fsspec opens."""

import importlib.util

import fsspec

from shared.weights.errors import StoreError
from shared.weights.local import LocalStorage
from shared.weights.storage import Storage

S3 = ("s3://", "s3a://")


def open_storage(url: str) -> Storage:
    """The storage at `url`, asked for nothing yet. Raises `StoreError` where no installed package opens it."""
    if url.startswith(S3):
        return _bucket(url)
    try:
        fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        scheme = url.split("://", 1)[0][:20]
        raise StoreError(f"No installed package opens {scheme}:// stores; install the fsspec one that does.") from error
    return LocalStorage(fs, root) if "file" in fs.protocol else Storage(fs, root)


def _bucket(url: str) -> Storage:
    if importlib.util.find_spec("s3fs") is None:
        raise StoreError("s3:// stores need the package s3fs: `pip install .[s3]`.")
    from shared.weights.s3 import S3Storage, options

    fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False, **options())
    return S3Storage(fs, root)
