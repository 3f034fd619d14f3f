"""Keeps records in a temporary file until the whole source was read."""

from __future__ import annotations

import tempfile
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import TypeAdapter

from dfgen.errors import StorageError
from dfgen.records import Prompt

T = TypeVar("T")

_LENGTH = 8


class TempRecords:
    """Appends values to a file without a name, which vanishes with the process.

    Values are pydantic models or dataclasses, written as length and JSON; pictures, as bytes,
    follow their prompt, because base64 would cost a third more.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        self._end = 0
        self._adapters: dict[type[Any], TypeAdapter[Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, value: object) -> int:
        """Write a value and return its place.

        Raises:
            StorageError: the temporary folder is full or cannot be written.
        """
        pictures: list[bytes] = []
        if isinstance(value, Prompt):
            pictures = [image.bytes for image in value.images]
            bare = [image.model_copy(update={"bytes": b""}) for image in value.images]
            value = value.model_copy(update={"images": bare})
        parts = [self._adapter(type(value)).dump_json(value), *pictures]
        place = self._end
        try:
            self._file.seek(place)
            for part in parts:
                self._file.write(len(part).to_bytes(_LENGTH, "little"))
                self._file.write(part)
            # A full disk must show here, not when the buffer is emptied at some later seek.
            self._file.flush()
        except OSError as error:
            raise StorageError(
                f"the temporary file cannot be written: {error.strerror}.",
                where=tempfile.gettempdir(),
                hint="Name a folder with more room in the environment variable TMPDIR.",
            ) from error
        self._end += sum(_LENGTH + len(part) for part in parts)
        return place

    def load(self, place: int, kind: type[T]) -> T:
        """Return the value of this kind that `append` wrote at `place`."""
        self._file.seek(place)
        value: T = self._adapter(kind).validate_json(self._read_part())
        if isinstance(value, Prompt):
            for image in value.images:
                image.bytes = self._read_part()
        return value

    def _read_part(self) -> bytes:
        return self._file.read(int.from_bytes(self._file.read(_LENGTH), "little"))

    def _adapter(self, kind: type[Any]) -> TypeAdapter[Any]:
        if kind not in self._adapters:
            self._adapters[kind] = TypeAdapter(kind)
        return self._adapters[kind]
