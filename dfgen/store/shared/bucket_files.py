"""Keeps small files that machines change safely, in a bucket; the store decides who is first.

The form of `dfgen.store.shared.files` for object stores. What is atomic creation on a disk is a
conditional put there, and the version of a file is the store's own: S3 makes it of the bytes alone,
so each content begins with a random number of its own, and no version ever comes back.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from dfgen.errors import StorageError
from dfgen.store.bucket.objects import Object, Objects
from dfgen.store.shared.files import MOST_BYTES, NAME

_DELETED = b"\0"
_NUMBER_BYTES = 16
_HEAD_BYTES = 2 * _NUMBER_BYTES + 1


class BucketFiles:
    """`SharedFiles` in an object store that writes on a condition (S3, Google Cloud, Azure).

    Args:
        objects: of the run.
        folder: below the run's own; empty: that itself.
        racing: whether processes that all mean to change the files do so at the same moment, so
            that nobody but the store can say who was first.

    Raises:
        StorageError: they race, and the store takes no conditions (the Hub's buckets).
    """

    def __init__(self, objects: Objects, folder: str = "", *, racing: bool = True) -> None:
        if racing and not objects.conditional:
            raise StorageError(
                "several workers cannot share this run: the Hub does not decide which of two that "
                "write comes first.",
                where=str(objects.address),
                hint="Let one process work on it, without --shared, --shard and `dfgen launch`. To "
                "share a run, keep it in s3://, gs:// or az://, or on a disk that all workers see.",
            )
        self._objects = objects
        self._folder = f"{folder}/" if folder else ""
        self._marks: dict[str, str] = {}
        """Of names that were last seen deleted: the version of the mark in their place."""

    def create(self, name: str, data: bytes) -> str | None:
        """Create a file; returns its version, or None if there is one already."""
        key, content = self._find_key(name), _encode(name, data)
        mark = self._marks.pop(name, None)
        if mark is None:
            version = self._objects.create(key, content)
        else:
            version = self._objects.replace(key, content, mark)
        if version is not None:
            return version
        found = self._objects.get(key)
        if found is None or decode(found[0]) is not None:
            return None
        return self._objects.replace(key, content, found[1].version)

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return content and version as they are now; None if there is no such file."""
        found = self.look_at(name)
        return None if found is None else (found[0], found[1].version)

    def look_at(self, name: str) -> tuple[bytes, Object] | None:
        """Return content and object as they are now; None if there is no such file."""
        found = self._objects.get(self._find_key(name))
        if found is None:
            return None
        content = decode(found[0])
        if content is None:
            self._marks[name] = found[1].version
            return None
        return content, found[1]

    def replace(self, name: str, data: bytes, version: str) -> str | None:
        """Replace a file if it still has this version; returns the new one, None if it has not."""
        return self._objects.replace(self._find_key(name), _encode(name, data), version)

    def delete(self, name: str, version: str | None = None) -> bool:
        """Delete a file, if it still has this version where one is given; says whether it did.

        Hardly a store deletes on a condition, and an unconditional delete that is late would take
        away what somebody else has created meanwhile. So a mark stays in its place, which counts as
        no file: it is replaced on a condition like every other.
        """
        if version is not None:
            return self._mark(name, version)
        while (found := self.read(name)) is not None:
            if self._mark(name, found[1]):
                return True
        return False

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names of all files in a folder and the folders below it, in order."""
        folder = f"{self._find_key(prefix)}/"
        for each in sorted(self._objects.list(folder), key=lambda each: each.key):
            name = each.key[len(self._folder) :]
            is_short = each.size == _HEAD_BYTES + len(_DELETED)
            if NAME.fullmatch(name) and (not is_short or self.read(name) is not None):
                yield name

    def _mark(self, name: str, version: str) -> bool:
        mark = secrets.token_hex(_NUMBER_BYTES).encode() + b"\n" + _DELETED
        put = self._objects.replace(self._find_key(name), mark, version)
        if put is not None:
            self._marks[name] = put
        return put is not None

    def _find_key(self, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a shared file")
        return self._folder + name


def decode(content: bytes) -> bytes | None:
    """Return what a shared file says; None if it is deleted."""
    data = content[_HEAD_BYTES:]
    return None if data == _DELETED else data


def _encode(name: str, data: bytes) -> bytes:
    if len(data) > MOST_BYTES or data.startswith(b"\0"):
        raise ValueError(f"the content of {name} is too long or begins with a NUL byte")
    return secrets.token_hex(_NUMBER_BYTES).encode() + b"\n" + data
