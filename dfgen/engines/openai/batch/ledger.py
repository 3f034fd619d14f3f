"""Remembers which requests are out in which file, so that nothing is handed over twice.

Each step is on disk before it is taken: the name of a file and its rows before it is uploaded, the
file's id before a batch is made of it. A process that is killed in between leaves an entry without
an id, and the next one asks the provider whether it knows the name.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from dfgen.config.batch import Lane
from dfgen.engines.openai.batch.exchange import Exchange

_SAFE = re.compile(r"[A-Za-z0-9_-]{1,64}")


class RecordLog(Protocol):
    """A file of JSON records that are on disk when `append` returns."""

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records."""

    def replay(self) -> Iterator[dict[str, Any]]:
        """Yield all records in order."""


@dataclass(frozen=True)
class Keeping:
    """Where a caller has an engine keep what is out.

    Attributes:
        folder: for files of requests and results.
        log: of what is out.
        find_answered: given request keys, returns those whose answers the caller has on record.
        exchange: of lane `files`: where requests are written and answers are.
        tell: is given a sentence about what is out, for a person.
    """

    folder: Path
    log: RecordLog
    find_answered: Callable[[Collection[str]], Collection[str]]
    exchange: Exchange | None = None
    tell: Callable[[str], None] = lambda _: None


@dataclass
class OutFile:
    """A file of requests that was handed over, or is about to be.

    Attributes:
        key: random, 32 hex digits; the file's name and the batch's tag hold it.
        lane: batch or files.
        cells: `custom_id` of each row that is waited for, in order.
        taken: of each row whose answer was taken before the others'.
        since: ISO 8601, UTC: when it was written down.
        sha256, size, pictures: of the file: its hash, bytes, and how many pictures stand in it.
        file_id, batch_id: the provider's names; None: not known (yet).
        changed: when anything was last learned of it, seconds since 1970.
        gone: the provider does not know the batch any more.
        mute: it is done, and its results answer nothing that was asked.
    """

    key: str
    lane: Lane
    cells: list[str]
    since: str
    sha256: str = ""
    size: int = 0
    pictures: int = 0
    file_id: str | None = None
    batch_id: str | None = None
    changed: float = 0.0
    gone: bool = False
    taken: set[str] = field(default_factory=set)
    mute: bool = False

    @property
    def name(self) -> str:
        """The name of its file at the provider."""
        return name_file(self.key)


@dataclass
class Ledger:
    """What is out. Reads its log once; every change goes to the log first.

    Attributes:
        out: by key, in the order in which they were handed over.
    """

    log: RecordLog
    out: dict[str, OutFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for record in self.log.replay():
            apply_record(self.out, record)

    def list_cells(self) -> set[str]:
        """List all requests that are out."""
        return {cell for each in self.out.values() for cell in each.cells}

    def intend(
        self, cells: Sequence[str], lane: Lane, sha256: str, size: int, pictures: int
    ) -> OutFile:
        """Note that a file is about to be handed over."""
        key = secrets.token_hex(16)
        self.write("intended", key, lane=lane, cells=list(cells), sha256=sha256, size=size,
                   pictures=pictures)  # fmt: skip
        return self.out[key]

    def write(self, event: str, key: str, **facts: Any) -> None:
        """Note a step: `uploaded` (file_id), `created` (batch_id), `gone`, `mute`,
        `answered` (cells),
        `closed` (ended, ...), `given_up`."""
        now = datetime.now(UTC)
        record = {
            "event": event,
            "key": key,
            "at": now.isoformat(timespec="seconds"),
            "seconds": now.timestamp(),
            **facts,
        }
        self.log.append([record])
        apply_record(self.out, record)

    def write_strays(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Note answers that are paid for and that nobody asks for any more."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        records = [{"event": "stray", "at": at, **row} for row in rows]
        self.log.append(records)


def apply_record(out: dict[str, OutFile], record: Mapping[str, Any]) -> None:
    """Change what is out as a record says."""
    event = record["event"]
    if event == "stray":
        return
    if event == "intended":
        out[record["key"]] = OutFile(
            record["key"],
            record["lane"],
            list(record["cells"]),
            record["at"],
            record["sha256"],
            record["size"],
            record["pictures"],
            changed=record["seconds"],
        )
        return
    found = out.get(record["key"])
    if found is None:
        return
    found.changed = record["seconds"]
    if event == "uploaded":
        found.file_id = record["file_id"]
    elif event == "created":
        found.batch_id, found.gone = record["batch_id"], False
    elif event == "gone":
        found.gone = True
    elif event == "mute":
        found.mute = True
    elif event == "answered":
        answered = set(record["cells"])
        found.taken |= answered
        found.cells = [cell for cell in found.cells if cell not in answered]
        if not found.cells:
            del out[record["key"]]
    else:  # closed, given_up
        del out[record["key"]]


def write_custom_id(key: str) -> str:
    """Return the name of a request in a file: its key, or a hash where providers refuse that."""
    if _SAFE.fullmatch(key):
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:48]


def name_file(key: str) -> str:
    """Return the name of a file at its provider."""
    return f"dfgen-{key}.jsonl"
