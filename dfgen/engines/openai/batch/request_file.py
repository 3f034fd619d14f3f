"""Writes files of requests, row by row, pictures and all, without holding more than one of them.

A row is JSON in which each picture stands as base64. That is nearly all of its bytes and needs no
JSON encoding, so the row is written as JSON with marks, and the pictures are put in their places.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from dfgen.engines.base import ImageData, Message, Part
from dfgen.engines.chat import list_images
from dfgen.errors import EngineError

_BUFFER = 1 << 20
_KEPT_BYTES = 32 << 20
# 18 random bytes and a number of 6: 32 characters of base64 without padding.
_SALT = secrets.token_bytes(18)


@dataclass(frozen=True, slots=True)
class Row:
    """One request as it will stand in a file.

    Attributes:
        custom_id: its name.
        pieces: bytes that make the row together, its newline included.
        pictures: how many pictures stand in it.
    """

    custom_id: str
    pieces: list[bytes]
    pictures: int

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.pieces))


class RowWriter:
    """Writes rows; pictures that come again soon are encoded once."""

    def __init__(self) -> None:
        self._encoded: OrderedDict[str, bytes] = OrderedDict()
        self._kept = 0

    def write(
        self,
        custom_id: str,
        messages: tuple[Message, ...],
        build: Callable[[tuple[Message, ...]], dict[str, Any]],
    ) -> Row:
        """Write a row.

        Args:
            build: makes the row's object of a chat; each picture of the chat must stand in it once,
                as base64.

        Raises:
            EngineError: a picture does not.
        """
        images = list(list_images(messages))
        text = json.dumps(build(mark_pictures(messages)), ensure_ascii=False)
        pieces: list[bytes] = []
        for number, image in enumerate(images):
            before, found, text = text.partition(_write_mark(number))
            if not found:
                break
            pieces += [_encode(before), self._encode_picture(image)]
        else:
            if _write_mark(len(images)) not in text:
                return Row(custom_id, [*pieces, _encode(text), b"\n"], len(images))
        raise EngineError(
            f"{len(images)} pictures belong to the request {custom_id}, and not each of them "
            "stands in its row once.",
            hint="This is a fault of dfgen: please report it. Nothing was sent.",
        )

    def _encode_picture(self, image: ImageData) -> bytes:
        if (known := self._encoded.get(image.sha256)) is not None:
            self._encoded.move_to_end(image.sha256)
            return known
        data = base64.b64encode(image.data)
        self._encoded[image.sha256] = data
        self._kept += len(data)
        while self._kept > _KEPT_BYTES and len(self._encoded) > 1:
            _, dropped = self._encoded.popitem(last=False)
            self._kept -= len(dropped)
        return data


def mark_pictures(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Put marks in the places of pictures, the n-th for the n-th."""
    number = 0
    marked = []
    for message in messages:
        parts: list[Part] = []
        for part in message.content:
            if isinstance(part, ImageData):
                parts.append(replace(part, data=_SALT + number.to_bytes(6, "big")))
                number += 1
            else:
                parts.append(part)
        marked.append(replace(message, content=tuple(parts)))
    return tuple(marked)


def _write_mark(number: int) -> str:
    return base64.b64encode(_SALT + number.to_bytes(6, "big")).decode("ascii")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace")


class RequestFile:
    """One file being written.

    Args:
        path: where; what is there is replaced.
        max_requests, max_bytes: its limits.

    Attributes:
        cells: `custom_id` of its rows so far, in order.
        size, pictures: bytes and pictures so far.
    """

    def __init__(self, path: Path, max_requests: int, max_bytes: int) -> None:
        self.path = path
        self.cells: list[str] = []
        self.size = self.pictures = 0
        self._max_requests, self._max_bytes = max_requests, max_bytes
        self._digest = hashlib.sha256()
        # Hashing takes as long as all the rest, and needs the interpreter's lock for none of it.
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="dfgen-hash")
        self._hashed: Future[None] | None = None
        self._file: IO[bytes] = path.open("wb", buffering=_BUFFER)

    @property
    def sha256(self) -> str:
        """Of all bytes so far, 64 hex digits."""
        if self._hashed is not None:
            self._hashed.result()
        return self._digest.hexdigest()

    def has_room(self, row: Row) -> bool:
        """Say whether a row fits."""
        return len(self.cells) < self._max_requests and self.size + row.size <= self._max_bytes

    def add(self, row: Row) -> None:
        """Write a row. Raises `OSError`."""
        if self._hashed is not None:
            self._hashed.result()
        self._hashed = self._hasher.submit(self._hash, row.pieces)
        for piece in row.pieces:
            self._file.write(piece)
        self.cells.append(row.custom_id)
        self.size += row.size
        self.pictures += row.pictures

    def _hash(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._digest.update(piece)

    def close(self) -> None:
        """Write what is still in memory. Raises `OSError`."""
        self._hasher.shutdown()
        self._file.close()

    def discard(self) -> None:
        """Close and remove the file."""
        self.close()
        self.path.unlink(missing_ok=True)


def read_rows(path: Path, wanted: Mapping[str, int]) -> Iterator[Row]:
    """Read rows of a file again, as they are.

    Args:
        wanted: their names, and how many pictures stand in each.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        for line in file:
            row = json.loads(line)
            custom_id = row.get("custom_id") or row.get("key")
            if custom_id in wanted:
                yield Row(custom_id, [line], wanted[custom_id])


def drop_schema(row: Row) -> Row:
    """Return a row that does not ask for output by JSON schema."""
    value = json.loads(b"".join(row.pieces))
    value.get("body", {}).pop("response_format", None)
    for name in ("responseMimeType", "responseJsonSchema"):  # Gemini's words
        value.get("request", {}).get("generationConfig", {}).pop(name, None)
    return Row(row.custom_id, [json.dumps(value, ensure_ascii=False).encode(), b"\n"], row.pictures)
