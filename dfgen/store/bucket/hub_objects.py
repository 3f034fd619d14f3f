"""Reads and writes the objects of one run in a Storage Bucket of the Hugging Face Hub.

huggingface_hub writes, lists and deletes; content is read through hf_xet by its hash, so what is
read is the version that was asked for, whatever is written meanwhile. Both try again what may be
tried again (5xx, 429, broken connections) for as long as they themselves say: half a minute for a
request to the Hub, some minutes for contents.

The Hub takes no conditions. `create` and `replace` look before they write and look again
afterwards, which detects every other writer but one that comes in the same moment.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from dfgen.errors import StorageError
from dfgen.store.bucket.address import Address
from dfgen.store.bucket.hub_errors import describe_missing, explain_hub_errors, refuse_offline
from dfgen.store.bucket.objects import Object
from dfgen.store.bucket.remote_file import RemoteFile
from dfgen.store.os_errors import explain_os_errors

if TYPE_CHECKING:
    from huggingface_hub import BucketFile, HfApi


class HubObjects:
    """Objects of a Storage Bucket, with the user's own token or, to read a public one, without.

    A version is the hash of the content, so the same bytes have the same version. The time of an
    object is when the Hub took it, by its clock; where the Hub does not say, what its writer said.
    """

    conditional = False

    def __init__(self, address: Address) -> None:
        self.address = address
        refuse_offline(str(address))
        self._api = _open_api(str(address))
        self._bucket = address.bucket.removeprefix("buckets/")
        self._content = _Content(self._api.endpoint, self._bucket)

    def put(self, key: str, source: bytes | Path) -> str:
        """See `Objects`."""
        from hf_xet import hash_files

        with _on_disk(source) as path, explain_hub_errors(self.address.name(key), "write"):
            version = str(hash_files([str(path)])[0].hash)
            self._api.batch_bucket_files(self._bucket, add=[(path, self._path(key))])
            return version

    def create(self, key: str, data: bytes) -> str | None:
        """See `Objects`."""
        return self._put_after_look(key, data, None)

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        """See `Objects`."""
        return self._put_after_look(key, data, version)

    def _put_after_look(self, key: str, data: bytes, version: str | None) -> str | None:
        there = self.head(key)
        if (None if there is None else there.version) != version:
            return None
        written = self.put(key, data)
        there = self.head(key)
        return written if there is not None and there.version == written else None

    def get(self, key: str) -> tuple[bytes, Object] | None:
        """See `Objects`."""
        known = self.head(key)
        if known is None:
            return None
        with explain_hub_errors(self.address.name(key), "read"):
            return b"".join(self._content.read(known, 0, known.size)), known

    def download(self, key: str, target: Path) -> Object | None:
        """See `Objects`."""
        known = self.head(key)
        if known is None:
            return None
        with explain_os_errors(target, "write"), target.open("xb") as file:
            with explain_hub_errors(self.address.name(key), "read"):
                for part in self._content.read(known, 0, known.size):
                    file.write(part)
            file.flush()
            os.fsync(file.fileno())
        return known

    def open(self, known: Object) -> BinaryIO:
        """See `Objects`."""

        def read_range(start: int, end: int) -> bytes:
            with explain_hub_errors(self.address.name(known.key), "read"):
                return b"".join(self._content.read(known, start, end))

        return cast("BinaryIO", RemoteFile(known.size, read_range))

    def head(self, key: str) -> Object | None:
        """See `Objects`."""
        with explain_hub_errors(self.address.name(key), "read"):
            found = list(self._api.get_bucket_paths_info(self._bucket, [self._path(key)]))
            return self._to_object(found[0]) if found else None

    def list(self, prefix: str = "", after: str | None = None) -> Iterator[Object]:
        """See `Objects`."""
        from huggingface_hub import BucketFile
        from huggingface_hub.errors import EntryNotFoundError

        folder = self._path(prefix)
        with explain_hub_errors(self.address.name(prefix).rstrip("/"), "list"):
            try:
                found = self._api.list_bucket_tree(self._bucket, folder.rstrip("/"), recursive=True)
                # The Hub may take a prefix for the beginning of a name, not for a folder, and says
                # nothing of an order.
                files = [each for each in found if isinstance(each, BucketFile)]
            except EntryNotFoundError:
                return
            there = [self._to_object(each) for each in files if each.path.startswith(folder)]
        there.sort(key=lambda each: each.key)
        yield from (each for each in there if after is None or each.key > after)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Objects`."""
        names = list(keys)
        with explain_hub_errors(str(self.address), "delete objects of"):
            paths = self._api.get_bucket_paths_info(self._bucket, map(self._path, names))
            there = [each.path for each in paths]
            if there:
                self._api.batch_bucket_files(self._bucket, delete=there)

    def copy(self, key: str, target: str) -> None:
        """See `Objects`."""
        known = self.head(key)
        if known is None:
            raise StorageError(
                "cannot copy it: somebody has removed it.", where=self.address.name(key)
            )
        with explain_hub_errors(self.address.name(key), "copy"):
            source = ("bucket", self._bucket, known.version, self._path(target))
            self._api.batch_bucket_files(self._bucket, copy=[source])

    def _path(self, key: str) -> str:
        return f"{self.address.folder}/{key}"

    def _to_object(self, file: BucketFile) -> Object:
        key, when = file.path[len(self.address.folder) + 1 :], file.uploaded_at or file.mtime
        if when is None:
            raise StorageError(
                "the Hub does not say when this was written.",
                where=self.address.name(key),
                hint="Without that dfgen cannot tell a living process from a dead one. Upgrade "
                "huggingface_hub, or keep the run elsewhere.",
            )
        return Object(key, file.size, file.xet_hash, when)


_AHEAD_S = 60
"""Before the end of a read token at which a new one is asked for."""


class _Content:
    """Reads content by its hash. Safe to use from several threads.

    Args:
        endpoint: of the Hub.
        bucket: owner/name.
    """

    def __init__(self, endpoint: str, bucket: str) -> None:
        self._url = f"{endpoint}/api/buckets/{bucket}/xet-read-token"
        self._lock = threading.Lock()
        self._access: dict[str, Any] = {}
        self._session: tuple[int, Any] = (0, None)

    def read(self, known: Object, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of an object from one offset up to another, in order."""
        from hf_xet import XetFileInfo

        if start >= end:
            return
        session, access = self._find_session(), self._find_access()
        with session.new_download_stream_group(**access) as group:
            yield from group.download_stream(XetFileInfo(known.version, known.size), start, end)

    def _find_session(self) -> Any:
        """Return what keeps connections open; a process that was forked has its own."""
        from hf_xet import XetSession

        with self._lock:
            if self._session[0] != os.getpid():
                self._session = (os.getpid(), XetSession())
            return self._session[1]

    def _find_access(self) -> dict[str, Any]:
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            build_hf_headers,
            hf_raise_for_status,
            http_backoff,
        )

        with self._lock:
            if self._access.get("token_expiry_unix_secs", 0) < time.time() + _AHEAD_S:
                answer = http_backoff("GET", self._url, headers=build_hf_headers())
                hf_raise_for_status(answer)
                found = answer.json()
                self._access = {
                    "endpoint": found["casUrl"],
                    "token": found["accessToken"],
                    "token_expiry_unix_secs": int(found["exp"]),
                }
            return self._access


@contextmanager
def _on_disk(source: bytes | Path) -> Iterator[Path]:
    if isinstance(source, Path):
        yield source
        return
    folder = Path(tempfile.gettempdir())
    with explain_os_errors(folder, "write"), tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(source)
        file.flush()
        yield Path(file.name)


def _open_api(where: str) -> HfApi:
    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    try:
        from hf_xet import XetSession  # noqa: F401
    except ImportError:
        raise describe_missing(where) from None
    if not hasattr(HfApi, "batch_bucket_files"):
        raise describe_missing(where)
    disable_progress_bars()
    return HfApi()
