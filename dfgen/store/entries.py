"""Remembers of each finished shard which version it is, of what, and its checksum.

A shard that is written again with other rows is a new *generation* of it. An entry names the
generations of the shards that it was made from, so a stage whose input has changed since knows that
it has to make its shard anew; equal bytes are the same generation, and nothing follows from them.

While a stage is at work, the entry of a shard is a file of its own beside the journals, so any
number of processes finish shards without writing one file together. When the stage is done,
run.json takes the entries in.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dfgen.errors import DamagedFileError
from dfgen.regular_files import check_regular, read_json
from dfgen.sealed_json import SEAL, is_whole, seal
from dfgen.store.atomic_files import make_directory, replace_file
from dfgen.store.layout import Stage, Table
from dfgen.store.os_errors import explain_os_errors

MOST_BYTES = 1 << 20
"""Of an entry's file."""

SUFFIX = ".done.json"
"""Ending of an entry's file in the journal folder."""


class SourceRows(BaseModel):
    """The rows of the user's own source that a shard was cut from."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    rows: int
    """How many, those that became rejects included."""
    sha256: str
    """Of what they say, in order."""


class ShardEntry(BaseModel):
    """One finished shard of one stage."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    generation: int = 1
    """Counts how often the output was written with other bytes; 1 at first."""
    made_from: dict[Table, int] = {}
    """Generation of the same shard of each table that it was made from; 0: there was none."""
    rows: int = 0
    rejects: int = 0
    sha256: dict[str, str] = {}
    """Checksum of each file by its path in the run directory."""
    source: SourceRows | None = None
    """Only of shards that were cut from a source of the user's."""


def find_entry_file(folder: Path, stage: Stage, shard: int) -> Path:
    """Return where the entry of a shard lies until run.json has it."""
    return folder / f"{stage}-{shard:05d}{SUFFIX}"


def write_entry(
    folder: Path, stage: Stage, shard: int, entry: ShardEntry, desk: Path | None = None
) -> None:
    """Write the entry of a shard durably, replacing an older one. Raises `StorageError`.

    Args:
        desk: see `dfgen.store.atomic_files.replace_file`.
    """
    path = find_entry_file(folder, stage, shard)
    with explain_os_errors(path, "write"):
        make_directory(folder)
        with replace_file(path, desk) as temporary:
            sealed = seal(entry.model_dump(mode="json"))
            temporary.write_text(json.dumps(sealed) + "\n", "utf-8")


def read_entry(folder: Path, stage: Stage, shard: int) -> ShardEntry | None:
    """Return the entry of a shard that run.json has not taken in yet, None if there is none.

    Raises:
        StorageError: it cannot be read.
        DamagedFileError: it is not what `write_entry` writes.
    """
    path = find_entry_file(folder, stage, shard)
    if not path.exists():
        return None
    try:
        with explain_os_errors(path, "read"):
            data = read_json(path, MOST_BYTES)
        whole = is_whole(data)
        data.pop(SEAL, None)
        entry = ShardEntry.model_validate(data)
    except ValidationError as error:
        raise _describe_damage(path, stage, shard, error.errors()[0]["msg"]) from error
    except (ValueError, AttributeError) as error:
        raise _describe_damage(path, stage, shard, error) from error
    if whole is False:
        raise _describe_damage(path, stage, shard, "its checksum differs")
    return entry


def _describe_damage(path: Path, stage: Stage, shard: int, what: object) -> DamagedFileError:
    return DamagedFileError(
        f"this is not the note on a finished shard that dfgen wrote: {what}.",
        where=str(path),
        hint=f"`dfgen run {path.parents[1]} --redo {stage}:{shard}` makes the shard anew.",
    )


def list_entry_files(folder: Path, stage: Stage) -> list[int]:
    """Return the shards of a stage whose entries run.json has not taken in yet."""
    pattern = re.compile(rf"{re.escape(stage)}-(\d{{5,9}}){re.escape(SUFFIX)}")
    if not folder.is_dir():
        return []
    matches = [pattern.fullmatch(path.name) for path in folder.iterdir()]
    return sorted(int(match[1]) for match in matches if match)


def is_current(entry: ShardEntry | None, generations: Mapping[Table, int]) -> bool:
    """Say whether a shard was made from the generations that its inputs have now.

    A shard without an entry was written by a dfgen that kept none, or a crash fell between it and
    its entry: it counts as made from whatever has been there from the start.
    """
    if entry is None:
        return all(generation <= 1 for generation in generations.values())
    return all(entry.made_from.get(table, 0) == now for table, now in generations.items())


class HashingFile:
    """A binary file being written whose sha256 is known when the last byte is.

    Only what a Parquet writer asks of a sink.
    """

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self._digest = hashlib.sha256()
        self.closed = False

    def write(self, data: Any) -> int:
        """Write some bytes."""
        self._digest.update(data)
        return self._sink.write(data)

    def tell(self) -> int:
        """Return the number of bytes written so far."""
        return self._sink.tell()

    def flush(self) -> None:
        """Hand on what the file object still holds."""
        self._sink.flush()

    def writable(self) -> bool:
        """True."""
        return True

    def readable(self) -> bool:
        """False."""
        return False

    def seekable(self) -> bool:
        """False: bytes that were written stay."""
        return False

    def close(self) -> None:
        """Nothing: whoever opened the file closes it."""

    def hexdigest(self) -> str:
        """Return the sha256 of all bytes so far, 64 hex digits."""
        return self._digest.hexdigest()


def hash_file(path: Path) -> str:
    """Compute the sha256 of a regular file, 64 hex digits. Raises `StorageError`."""
    with explain_os_errors(path, "read"):
        check_regular(path)
        with path.open("rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
