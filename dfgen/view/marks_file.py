"""Keeps what a person says of trajectories, as rows beside the run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dfgen.errors import InputError, StorageError
from dfgen.regular_files import check_regular, read_at_most
from dfgen.store.os_errors import explain_os_errors

_MOST_BYTES = 1 << 30
_LONGEST_LINE = 4 << 20


class Mark(BaseModel):
    """What one person says of one trajectory."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    trajectory_id: str = Field(max_length=200)
    mask: Literal["good_mask", "wrong_mask"] | None = None
    grade: Literal["wrong_grade"] | None = None
    note: str = Field("", max_length=10_000)
    tokens: list[int] | None = Field(None, max_length=200_000)
    """Places of the tokens that are wrong, where the person picked them."""
    by: str = Field("", max_length=200)
    at: str | None = Field(None, max_length=40)
    """UTC, ISO 8601."""


class MarksFile:
    """A JSON Lines file of marks; of several about one trajectory the last one holds.

    Args:
        path: need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Mark]:
        """Read the marks that hold, one for each trajectory.

        Raises:
            StorageError: it cannot be read.
            InputError: a line is no mark.
        """
        if not self.path.exists():
            return []
        with explain_os_errors(self.path, "read"):
            data = read_at_most(self.path, _MOST_BYTES)
        if len(data) > _MOST_BYTES:
            raise InputError(
                f"it has more than {_MOST_BYTES:,} bytes, so it is no file of marks.",
                where=str(self.path),
                hint="Name another file with --marks.",
            )
        found: dict[str, Mark] = {}
        lines = data.split(b"\n")
        torn = len(lines)  # without its end, a line was being written when its writer died
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                mark = Mark.model_validate_json(line)
            except ValidationError as error:
                if number == torn:
                    continue
                raise InputError(
                    f"line {number} is no mark: {error.errors()[0]['msg']}.",
                    where=str(self.path),
                    hint="Name another file with --marks, or mend the line.",
                ) from None
            found[mark.trajectory_id] = mark
        return list(found.values())

    def add(self, mark: Mark) -> None:
        """Add a mark at the end, on disk before this returns.

        Raises:
            StorageError: it cannot be written, or the path is a link to somewhere else.
        """
        try:
            self._append(mark)
        except StorageError as error:
            raise StorageError(
                error.what,
                where=error.where,
                hint="Name another file with --marks, where you may write.",
            ) from error

    def _append(self, mark: Mark) -> None:
        line: dict[str, Any] = mark.model_dump()
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode(errors="replace")
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with explain_os_errors(self.path, "write"):
            # A pipe is not waited for: it is none of the files that are written.
            file = os.open(self.path, flags | os.O_NONBLOCK, 0o644)
            try:
                size = check_regular(Path(f"/dev/fd/{file}")).st_size
                begin = max(0, size - _LONGEST_LINE)
                last = os.pread(file, _LONGEST_LINE, begin).rpartition(b"\n")[2]
                if is_mark(last):
                    data = b"\n" + data  # somebody's editor has left out the end of the line
                elif last:  # cut short by a full disk or a crash, and never said to be kept
                    os.ftruncate(file, size - len(last))
                left = memoryview(data)
                while left:
                    left = left[os.write(file, left) :]
                os.fsync(file)
            finally:
                os.close(file)


def is_mark(line: bytes) -> bool:
    """Say whether a line of such a file is a mark."""
    try:
        Mark.model_validate_json(line)
    except ValidationError:
        return False
    return True
