"""Reads and writes the objects of one run in a store; every other file asks this one.

obstore does the work (S3, Google Cloud Storage, Azure). It retries what may be retried: 5xx, 429,
broken connections, with growing waits, no longer than `RETRY_S`. Buckets of the Hub are in
dfgen.store.bucket.hub_objects.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from dfgen.errors import MissingExtraError
from dfgen.store.bucket.address import Address
from dfgen.store.bucket.errors import explain_store_errors, is_answer
from dfgen.store.bucket.remote_file import RemoteFile

RETRY_S = "DFGEN_BUCKET_RETRY_S"
"""Environment variable: seconds for which a request is tried again; 120 if it is not set."""

_RETRY_S = 120.0
_REQUEST_S = 60
"""Seconds that one request may take, a shard's upload included: parts of 5 MiB."""


@dataclass(frozen=True, slots=True)
class Object:
    """What a listing says of an object.

    Attributes:
        key: below the run's folder.
        size: in bytes.
        version: changes with its content.
        modified: when it was put, by the store's clock.
    """

    key: str
    size: int
    version: str
    modified: datetime


class Objects(Protocol):
    """The objects of one run. Every method raises `StorageError` with the way out."""

    address: Address
    conditional: bool
    """Whether `create` and `replace` are decided by the store, whoever races. Where they are not,
    they look before and after, and of two that race within a moment both may believe they won."""

    def put(self, key: str, source: bytes | Path) -> str:
        """Write an object, whatever was there; return its version."""
        ...

    def create(self, key: str, data: bytes) -> str | None:
        """Write an object if there is none; return its version, None if there is one."""
        ...

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        """Write an object if it still has a version; return the new one, None if it has not."""
        ...

    def get(self, key: str) -> tuple[bytes, Object] | None:
        """Read an object; None if there is none."""
        ...

    def download(self, key: str, target: Path) -> Object | None:
        """Read an object into a new file; None if there is none."""
        ...

    def open(self, known: Object) -> BinaryIO:
        """Open an object to read parts of it."""
        ...

    def head(self, key: str) -> Object | None:
        """Look at an object; None if there is none."""
        ...

    def list(self, prefix: str = "", after: str | None = None) -> Iterator[Object]:
        """List the objects whose keys begin with a prefix, which ends at a slash or is empty.

        Page by page, in the order of their keys; those alone that come after one, if it is named.
        """
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, those that are not there included."""
        ...

    def copy(self, key: str, target: str) -> None:
        """Write a copy of an object under another key."""
        ...


class ObstoreObjects:
    """Objects of S3, Google Cloud Storage or Azure."""

    conditional = True

    def __init__(self, address: Address) -> None:
        self.address = address
        with explain_store_errors(str(address), "open"):
            self._store = _open_store(address)

    def put(self, key: str, source: bytes | Path) -> str:
        """See `Objects`."""
        import obstore

        with explain_store_errors(self.address.name(key), "write"):
            return _read_version(obstore.put(self._store, key, source))

    def create(self, key: str, data: bytes) -> str | None:
        """See `Objects`."""
        return self._put_if(key, data, "create")

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        """See `Objects`."""
        return self._put_if(key, data, _to_condition(version))

    def _put_if(self, key: str, data: bytes, condition: Any) -> str | None:
        import obstore

        mark = secrets.token_hex(8)
        with explain_store_errors(self.address.name(key), "write"):
            try:
                put = obstore.put(self._store, key, data, mode=condition, attributes={_MARK: mark})
                return _read_version(put)
            except Exception as error:
                if not is_answer(error):
                    raise
            # A request whose answer was lost is sent again and then meets its own object.
            with suppress(FileNotFoundError):
                there = obstore.get(self._store, key, options={"head": True})
                if there.attributes.get(_MARK) == mark:
                    return _read_version(there.meta)
        return None

    def get(self, key: str) -> tuple[bytes, Object] | None:
        """See `Objects`."""
        import obstore

        with explain_store_errors(self.address.name(key), "read"):
            try:
                found = obstore.get(self._store, key)
                return bytes(found.bytes()), _to_object(found.meta)
            except FileNotFoundError as error:
                if not is_answer(error):
                    raise
                return None

    def download(self, key: str, target: Path) -> Object | None:
        """See `Objects`."""
        import obstore

        with explain_store_errors(self.address.name(key), "read"):
            try:
                found = obstore.get(self._store, key)
            except FileNotFoundError as error:
                if not is_answer(error):
                    raise
                return None
            with target.open("xb") as file:
                for part in found.stream(min_chunk_size=1 << 20):
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            return _to_object(found.meta)

    def open(self, known: Object) -> BinaryIO:
        """See `Objects`."""
        import obstore

        def read_range(start: int, end: int) -> bytes:
            asked = {"range": (start, end), "if_match": known.version.partition("\n")[0] or None}
            with explain_store_errors(self.address.name(known.key), "read"):
                try:
                    return bytes(obstore.get(self._store, known.key, options=asked).bytes())
                except Exception as error:
                    if not is_answer(error):
                        raise
            raise FileNotFoundError(f"{known.key} has been written anew since it was listed")

        return cast("BinaryIO", RemoteFile(known.size, read_range))

    def head(self, key: str) -> Object | None:
        """See `Objects`."""
        import obstore

        with explain_store_errors(self.address.name(key), "read"):
            try:
                return _to_object(obstore.head(self._store, key))
            except FileNotFoundError as error:
                if not is_answer(error):
                    raise
                return None

    def list(self, prefix: str = "", after: str | None = None) -> Iterator[Object]:
        """See `Objects`."""
        import obstore

        with explain_store_errors(self.address.name(prefix), "list"):
            for page in obstore.list(self._store, prefix=prefix or None, offset=after):
                yield from map(_to_object, page)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Objects`."""
        import obstore

        with explain_store_errors(str(self.address), "delete objects of"), suppress(KeyError):
            names = list(keys)
            for start in range(0, len(names), 1000):
                with suppress(FileNotFoundError):
                    obstore.delete(self._store, names[start : start + 1000])

    def copy(self, key: str, target: str) -> None:
        """See `Objects`."""
        import obstore

        with explain_store_errors(self.address.name(key), "copy"):
            obstore.copy(self._store, key, target)


_MARK = "dfgenput"
"""Metadata of an object that was written on a condition: which request did. Azure takes letters
alone in its name."""


def _open_store(address: Address) -> Any:
    try:
        from obstore.store import from_url
    except ImportError:
        raise MissingExtraError("obstore", "bucket") from None
    seconds = float(os.environ.get(RETRY_S) or _RETRY_S)
    return from_url(
        str(address),
        retry_config={
            "max_retries": 10,
            "retry_timeout": timedelta(seconds=seconds),
            "backoff": {
                "init_backoff": timedelta(milliseconds=200),
                "max_backoff": timedelta(seconds=min(15.0, max(0.5, seconds / 4))),
                "base": 2,
            },
        },
        client_options={
            "timeout": timedelta(seconds=_REQUEST_S),
            "allow_http": any(
                os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS
            ),
        },
    )


_ENDPOINTS = (
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"),
    *("GOOGLE_BASE_URL", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
)
"""Variables that name a server; whoever writes http:// into one means it."""


def _to_object(meta: Any) -> Object:
    return Object(meta["path"], int(meta["size"]), _read_version(meta), meta["last_modified"])


def _read_version(meta: Any) -> str:
    """Join e_tag and version: stores use one or the other, or both."""
    return f"{meta.get('e_tag') or ''}\n{meta.get('version') or ''}"


def _to_condition(version: str) -> dict[str, str]:
    e_tag, _, number = version.partition("\n")
    return {name: value for name, value in (("e_tag", e_tag), ("version", number)) if value}


def hash_key(text: str) -> str:
    """A short name for anything, in signs that every file system keeps."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
