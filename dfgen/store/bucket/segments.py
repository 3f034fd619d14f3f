"""Brings a journal into a bucket piece by piece, and puts the pieces together again.

A segment is written once, under the number of the byte where it begins, and only if there is none:
of two processes that write one journal, the second is told. What has not become a segment when a
machine dies is lost: at most what was added since the last one, which is as long ago as `Pace`
says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dfgen.errors import DamagedFileError, RunLockedError, StorageError
from dfgen.store.bucket.keys import name_segment, parse_segment
from dfgen.store.bucket.objects import Object, Objects
from dfgen.store.layout import BATCHES


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a journal is brought: after so many records or seconds, whichever comes first.

    Attributes:
        records: at most so many are not there yet when `append` returns; None: as many as there
            are in these seconds.
        seconds: since the first of them.
    """

    records: int | None
    seconds: float


@dataclass
class Paces:
    """The pace of each journal, by the first part of its file's name."""

    usual: Pace = Pace(None, 30.0)
    special: dict[str, Pace] = field(default_factory=dict)

    def find(self, key: str) -> Pace:
        """Return the pace of a journal; what is out in batches is written down before it is."""
        if key.startswith(f"{BATCHES}/"):
            return Pace(1, self.usual.seconds)
        name = key.rpartition("/")[2].partition("-")[0]
        return self.special.get(name, self.usual)


class Segments:
    """A journal at work. Safe to use from several threads.

    Args:
        root: the staging directory.
        key: of the journal.
        flushed: bytes of it that the bucket has.
        note: told key, version and size of each new segment.
    """

    def __init__(
        self,
        objects: Objects,
        root: Path,
        key: str,
        flushed: int,
        pace: Pace,
        note: Callable[[str, str, int], None],
    ) -> None:
        self._objects = objects
        self._path = root / key
        self._key = key
        self._flushed = self._end = flushed
        self._records = 0
        self._pace = pace
        self._note = note
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._failure: StorageError | None = None
        self._stopped = False

    def grow(self, end: int, records: int) -> None:
        """Take note of records that were added; the journal has `end` bytes now.

        Raises:
            StorageError: the bucket did not take a segment, now or when its time had come.
        """
        self._end = end
        self._records += records
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if self._pace.records is not None and self._records >= self._pace.records:
            self.flush()
        elif self._timer is None:
            self._timer = threading.Timer(self._pace.seconds, self._flush_later)
            self._timer.daemon = True
            self._timer.start()

    def flush(self) -> None:
        """Write a segment of what is new.

        Raises:
            RunLockedError: another process has written one in its place.
            StorageError: the bucket does not take it; the next call tries again.
        """
        with self._lock:
            start, end = self._flushed, self._end
            if self._stopped or start >= end:
                return
            with self._path.open("rb") as file:
                file.seek(start)
                content = file.read(end - start)
            records, key = self._records, name_segment(self._key, start)
            version = self._objects.create(key, content)
            if version is None:
                raise RunLockedError(
                    "another process writes this journal, too.",
                    where=self._objects.address.name(key),
                    hint="This one stops here; what it has not sent stays on this machine.",
                )
            self._flushed = end
            self._records = max(0, self._records - records)
            self._note(key, version, end - start)

    def stop(self) -> None:
        """Write nothing any more."""
        timer = self._timer
        if timer is not None:
            timer.cancel()
        with self._lock:
            self._stopped = True

    def _flush_later(self) -> None:
        self._timer = None
        try:
            self.flush()
        except StorageError as error:
            self._failure = error


def assemble(objects: Objects, journal: str, segments: Sequence[Object], target: Path) -> bool:
    """Write the file of a journal from its segments; say whether there is one.

    The first segment is deleted first, so a journal without it is one that was being deleted. A
    segment that is cut short at the very end is what a torn write is on a disk, and the journal
    itself leaves it out; one that is followed by another is damage.

    Raises:
        DamagedFileError: bytes between two segments are missing.
        StorageError: a segment cannot be read.
    """
    content = bytearray()
    for each in segments:
        found = parse_segment(each.key)
        assert found is not None
        start = found[1]
        if not content and start > 0:
            return False
        if start > len(content):
            raise DamagedFileError(
                f"bytes {len(content)} to {start} of the journal are missing: a segment before "
                "this one is gone or cut short, which no crash of dfgen explains.",
                where=objects.address.name(each.key),
                hint="Restore it from a backup or an older version of the object. To keep what "
                "comes before and pay again for the rest, delete this object and those after it "
                f"in {objects.address.name(journal)}/.",
            )
        data = objects.get(each.key)
        if data is None:
            return False  # being deleted by whoever finished the shard
        del content[start:]  # a torn end, after which somebody went on
        content += data[0]
    if not content:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return True


def delete_segments(objects: Objects, keys: Sequence[str]) -> None:
    """Delete a journal, the first segment first. Raises `StorageError`."""
    ordered = sorted(keys)
    for part in (ordered[:1], ordered[1:]):
        if part:
            objects.delete(part)
