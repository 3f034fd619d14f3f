"""Reads lines of files that strangers made: what is too long is skipped, never held in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, AnyStr

from dfgen.errors import InputError

_SKIPPED_AT_ONCE = 1 << 20
_LONGEST = 1 << 30


def iter_lines(stream: IO[AnyStr], longest: int, where: str) -> Iterator[AnyStr | None]:
    """Yield the lines of a file; None for each that is longer than allowed.

    Args:
        stream: binary or text.
        longest: bytes or characters that a line may have, its end included.
        where: names the file in the error.

    Raises:
        InputError: a line goes on for more than 2**30 bytes or characters.
    """
    number = 0
    while line := stream.readline(longest + 1):
        number += 1
        if len(line) <= longest:
            yield line
            continue
        _skip_line(stream, line, f"{where}:{number}")
        yield None


def _skip_line(stream: IO[AnyStr], line: AnyStr, where: str) -> None:
    end = b"\n" if isinstance(line, bytes) else "\n"
    length = len(line)
    while line and not line.endswith(end):
        if length > _LONGEST:
            raise InputError(
                f"the line goes on for more than {_LONGEST:,} bytes, so this is no file of rows.",
                where=where,
                hint="Take the file away, or mend it; a compressed file may be made to fill disks.",
            )
        line = stream.readline(_SKIPPED_AT_ONCE)
        length += len(line)
