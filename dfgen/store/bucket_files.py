"""Small files that workers on several machines share through a bucket; the store decides who wins.

The form of `dfgen.store.shared_files` for object stores: what is atomic creation on a disk is a
conditional put there, and the version of a file is the store's own (ETag or generation).
"""

from __future__ import annotations

from collections.abc import Iterator

from dfgen.errors import StorageError
from dfgen.store.bucket.objects import Objects


class BucketFiles:
    """Shared files of one folder of a bucket.

    S3 makes the version of an object from its bytes alone, so who writes a file again must write
    something new (a counter, a token), or a change to and fro cannot be told from none.

    Args:
        objects: of the run.
        folder: below the run's own; empty: that itself.

    Raises:
        StorageError: the store takes no conditions (the Hub's buckets).
    """

    def __init__(self, objects: Objects, folder: str = "") -> None:
        if not objects.conditional:
            raise StorageError(
                "this store cannot decide who of several workers comes first.",
                where=str(objects.address),
                hint="Let one process work on the run; or keep it on s3://, gs://, az:// or a "
                "shared disk.",
            )
        self._objects = objects
        self._folder = f"{folder}/" if folder else ""

    def create(self, name: str, data: bytes) -> str | None:
        """Write a file that is not there; return its version, None if it is there already.

        Raises:
            StorageError: the store refuses, or cannot be reached.
        """
        _check(data)
        key = self._folder + name
        version = self._objects.create(key, data)
        if version is not None:
            return version
        found = self._objects.get(key)
        if found is None or found[0]:
            return None
        return self._objects.replace(key, data, found[1].version)

    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return content and version of a file, None if there is none. Raises `StorageError`."""
        found = self._objects.get(self._folder + name)
        return (found[0], found[1].version) if found is not None and found[0] else None

    def replace(self, name: str, data: bytes, version: str) -> str | None:
        """Write a file if it still has a version; return the new one, None if it has not.

        Raises:
            StorageError: the store refuses, or cannot be reached.
        """
        _check(data)
        return self._objects.replace(self._folder + name, data, version)

    def delete(self, name: str, version: str | None = None) -> bool:
        """Delete a file, if it still has a version; say whether it is this call that did.

        Hardly a store deletes on a condition, and an unconditional delete that is late would take
        away what somebody else has created meanwhile. So an empty object stays in its place, which
        counts as no file: it is replaced on a condition like every other.

        Raises:
            StorageError: the store refuses, or cannot be reached.
        """
        key = self._folder + name
        if version is None:
            found = self._objects.head(key)
            if found is None or found.size == 0:
                return False
            version = found.version
        return self._objects.replace(key, b"", version) is not None

    def list(self, prefix: str) -> Iterator[str]:
        """List the names of files that begin with a prefix, in order. Raises `StorageError`."""
        folder, _, _ = (self._folder + prefix).rpartition("/")
        cut = len(self._folder)
        for each in self._objects.list(f"{folder}/" if folder else ""):
            if each.size and each.key[cut:].startswith(prefix):
                yield each.key[cut:]


def _check(data: bytes) -> None:
    if not data:
        raise ValueError("an empty file counts as none")
