r"""Writes and checks lines of a journal: a checksum, a length, two marks, one record as JSON.

    3f2a91c0 57 4096 . {"key":"9f..-3","text":"..."}\n
    |        |  |    |
    |        |  |    '.' ends a list of records that belong together, '+' says more follow
    |        |  bytes of the file that were known to be on the disk when the line was written
    |        length of the JSON in bytes
    crc32 (zlib, hex) of everything between it and the newline

The third field tells a write that a power loss cut short from damage: a system that dies keeps
whichever blocks it happened to have written, so a hole may have intact lines behind it; but below
a mark that any intact line carries, nothing may be wrong.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

_LINE = re.compile(rb"([0-9a-f]{8}) ((\d+) (\d+) ([.+]) (.*))\n", re.DOTALL)
_START = re.compile(rb"[0-9a-f]{8} \d+ \d+ [.+] ")


@dataclass(frozen=True, slots=True)
class Line:
    """One intact line; `closes` means that it ends its list."""

    content: bytes
    synced: int
    closes: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """What a file of lines holds.

    Attributes:
        end: offset behind the last complete list.
        size: length of the file; what lies between `end` and it is a torn write.
        damage: offset of damage that no interrupted write explains; None if there is none.
    """

    end: int
    size: int
    damage: int | None


def encode_records(records: Sequence[Mapping[str, Any]], synced: int) -> bytes:
    """Lines of records that belong together."""
    last = len(records) - 1
    return b"".join(
        _encode_line(_to_json(record), synced, closes=i == last) for i, record in enumerate(records)
    )


def decode_record(line: Line) -> Any:
    """Read back the value that was written."""
    return json.loads(line.content.decode("utf-8", "surrogatepass"))


def scan(file: BinaryIO) -> Scan:
    """Check every line from the start of the file."""
    end = offset = 0
    broken: int | None = None
    damaged = False
    for raw in file:
        line = parse_line(raw)
        if line is None:
            broken = offset if broken is None else broken
        # Damage that hits a newline makes one broken line of two, and the second may be intact.
        witness = line or _find_swallowed(raw)
        if broken is not None and witness is not None:
            damaged = damaged or witness.synced > broken
        offset += len(raw)
        if line is not None and line.closes and broken is None:
            end = offset
    return Scan(end, offset, broken if damaged else None)


def read_lines(file: BinaryIO, end: int) -> Iterator[Line]:
    """Read the lines of a scanned file up to `end`."""
    offset = 0
    while offset < end:
        raw = file.readline()
        line = parse_line(raw)
        if line is None:
            raise ValueError(f"the file changed at offset {offset} while it was read")
        offset += len(raw)
        yield line


def parse_line(raw: bytes) -> Line | None:
    """Return a line, or None if it is not intact."""
    match = _LINE.fullmatch(raw)
    if match is None:
        return None
    checksum, body, length, synced, mark, content = match.groups()
    if int(checksum, 16) != zlib.crc32(body) or int(length) != len(content):
        return None
    return Line(content, int(synced), mark == b".")


def _find_swallowed(raw: bytes) -> Line | None:
    """The intact line at the end of a broken one, if there is one."""
    for start in _START.finditer(raw):
        line = parse_line(raw[start.start() :])
        if line is not None:
            return line
    return None


def _encode_line(content: bytes, synced: int, *, closes: bool) -> bytes:
    body = b"%d %d %c %b" % (len(content), synced, b"." if closes else b"+", content)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _to_json(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(dict(record), ensure_ascii=False, separators=(",", ":"), default=_to_plain)
    # Models can emit halves of surrogate pairs; they must come back as they were.
    return text.encode("utf-8", "surrogatepass")


def _to_plain(value: Any) -> Any:
    """numpy's arrays and numbers; float32 in its shortest form, which reads back exactly."""
    name = getattr(getattr(value, "dtype", None), "name", None)
    if name is None:
        raise TypeError(f"a journal holds JSON values, not {type(value).__name__}")
    if name in ("float32", "float16"):
        return _shorten(value.astype(str).tolist() if value.ndim else str(value))
    return value.tolist()


def _shorten(value: Any) -> Any:
    return [_shorten(item) for item in value] if isinstance(value, list) else float(value)
