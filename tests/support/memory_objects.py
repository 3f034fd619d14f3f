"""A bucket in the memory of the tests' own process, with the conditions that a real one keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dfgen.store.bucket.address import parse_address
from dfgen.store.bucket.keys import PAGE
from dfgen.store.bucket.objects import Object, ObstoreObjects


class MemoryObjects(ObstoreObjects):
    """Objects in the memory of this process.

    Attributes:
        listed: how many keys were.
        pages: how many requests a store would have taken for that.
    """

    def __init__(self) -> None:
        from obstore.store import MemoryStore

        self.address = parse_address("s3://bucket/run")
        self._store: Any = MemoryStore()
        self.listed = self.pages = 0

    def list(self, prefix: str = "", after: str | None = None) -> Iterator[Object]:
        """See `Objects`."""
        self.pages += 1
        for number, each in enumerate(super().list(prefix, after)):
            self.listed += 1
            self.pages += bool(number) and number % PAGE == 0
            yield each
