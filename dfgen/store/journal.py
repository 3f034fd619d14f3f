"""Keeps what has been paid for and is not in a Parquet file yet: the journal of an open shard.

Append-only. A list of records is one write: after a crash it is there in full or, cut short, not at
all, because what was computed in one batch is computed again in one batch. Records are JSON
objects; what they mean is the stage's affair.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from pydantic import BaseModel

from dfgen.errors import DamagedFileError, StorageError
from dfgen.regular_files import check_regular
from dfgen.store.atomic_files import make_directory, remove_files
from dfgen.store.fsync_thread import Syncer
from dfgen.store.journal_files import remove_folder
from dfgen.store.journal_lines import Scan, decode_record, encode_records, read_lines, scan
from dfgen.store.mounts import find_mount
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.writable import find_unreadable, find_unwritable

FORMAT = "dfgen.journal/1"


class Journal:
    """One journal file. Safe to use from several threads of one process.

    Args:
        path: of the file; need not exist.
        stage, shard: whose it is; stands in its first line.
        sync: "always": a record is on the disk when `append` returns; or the seconds after which
            it is at the latest. kill -9 loses nothing either way, only a power loss can.
        guard: called before each change; raises when this process may not write any more.
        desk: over which files are removed (`dfgen.store.atomic_files.remove_files`), so that who
            was frozen after the guard let it pass cannot remove what others have begun since.
        earlier: journal files of processes that had the shard before, the oldest first. They are
            replayed, too, and deleted, and never changed.
        record: what a record is; None: anything. Nothing is appended that the columns of such a
            record cannot hold, or a shard could not be written after it was paid for, at this start
            and every later one. What stands in the file nevertheless is not replayed.
        passed_over: told after a replay how many records were not, and why the first was not.
    """

    def __init__(
        self,
        path: Path,
        *,
        stage: str,
        shard: int,
        sync: Literal["always"] | float = 0.2,
        guard: Callable[[], None] | None = None,
        desk: Path | None = None,
        earlier: Sequence[Path] = (),
        record: type[BaseModel] | None = None,
        passed_over: Callable[[int, str], None] | None = None,
    ) -> None:
        self.path = path
        self.torn: dict[Path, int] = {}
        """Bytes of an interrupted write that the last look at a file found at its end."""
        self._earlier = tuple(earlier)
        self._header = {"format": FORMAT, "stage": stage, "shard": shard}
        self._interval_s = 0.0 if sync == "always" else float(sync)
        self._guard = guard
        self._desk = desk
        self._record = record
        self._passed_over = passed_over
        self._mount = find_mount(path)
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._syncer: Syncer | None = None
        self._end = 0

    @property
    def torn_bytes(self) -> int:
        """Bytes of interrupted writes that the last look at the files found."""
        return sum(self.torn.values())

    def exists(self) -> bool:
        """Say whether there is a file."""
        return bool(self.list_files())

    def list_files(self) -> list[Path]:
        """List the files that there are, the oldest first."""
        return [path for path in (*self._earlier, self.path) if path.exists()]

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add records that finished together.

        Values are what JSON knows, and numpy arrays and numbers; float32 comes back exactly.

        Raises:
            StorageError: the disk is full, ...; the journal is as it was before. Or a record holds
                what its shard could not.
            DamagedFileError: the file holds something that no interrupted write explains.
        """
        if not records:
            return
        for record in records:
            self._check_record(record)
        with self._lock:
            if self._guard:
                self._guard()
            descriptor, syncer = self._open()
            synced = syncer.synced
            content = encode_records(records, synced)
            if self._end == 0:
                content = encode_records([self._header], 0) + content
            with explain_os_errors(self.path, "write"):
                self._write(descriptor, content)
            self._end += len(content)
            syncer.written(self._end)
            if self._mount is not None:
                self._mount.has_appended(self.path, self._end, len(records))

    def replay(self) -> Iterator[dict[str, Any]]:
        """Yield every record of every complete list, in the order they were appended.

        An interrupted write at the end is left out, counted in `torn_bytes`, and cut off by the
        next `append`. A record that no shard could hold is left out, too: it counts as not there,
        and what it was about is done again.

        Raises:
            DamagedFileError: before the first record; names the file and the offset.
            StorageError: the file cannot be read.
        """
        problems: list[str] = []
        for path in (*self._earlier, self.path):
            for record in self._read(path):
                if problem := self._find_unreadable(record):
                    problems.append(problem)
                else:
                    yield record
        if problems and self._passed_over is not None:
            self._passed_over(len(problems), problems[0])

    def _read(self, path: Path) -> Iterator[Any]:
        """The records of one file."""
        with explain_os_errors(path, "read"):
            try:
                check_regular(path)
                file = path.open("rb")
            except FileNotFoundError:
                return
            with file:
                end = self._check(scan(file), path).end
                file.seek(0)
                for number, line in enumerate(read_lines(file, end)):
                    record = decode_record(line)
                    if number == 0:
                        self._check_header(record)
                    else:
                        yield record

    def sync(self) -> None:
        """Return when every appended record is on the disk. Raises `StorageError`."""
        with self._lock:
            if self._syncer is not None:
                self._syncer.sync()

    def close(self) -> None:
        """Sync and close the file; the journal may be used again. Raises `StorageError`."""
        with self._lock:
            try:
                if self._syncer is not None:
                    self._syncer.sync()
                if self._mount is not None:
                    self._mount.flush(self.path)
            finally:
                self._drop()

    def delete(self) -> None:
        """Remove what files there are. Raises `StorageError`."""
        with self._lock:
            self._drop()
            if self._guard:
                self._guard()
            with explain_os_errors(self.path, "remove"):
                paths = self.list_files()
                remove_files(paths, self._desk)
                remove_folder(self.path, self._desk)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_record(self, record: Mapping[str, Any]) -> None:
        problem = None if self._record is None else find_unwritable(record, self._record)
        if problem is not None:
            raise StorageError(
                f"a record cannot be kept, because no shard could hold it: {problem}.",
                where=str(self.path),
                hint="The engine gave a value that dfgen did not expect. Please report it; "
                "everything else is kept.",
            )

    def _find_unreadable(self, record: Any) -> str | None:
        return None if self._record is None else find_unreadable(record, self._record)

    def _open(self) -> tuple[int, Syncer]:
        """The open file, with any torn end cut off."""
        if self._descriptor is None or self._syncer is None:
            with explain_os_errors(self.path, "open"):
                make_directory(self.path.parent)
                flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                descriptor = os.open(self.path, flags, 0o666)
            try:
                with explain_os_errors(self.path, "read"), self.path.open("rb") as file:
                    self._end = self._check(scan(file), self.path).end
                    if self.torn.pop(self.path, 0):
                        os.ftruncate(descriptor, self._end)
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
            self._syncer = Syncer(descriptor, self.path, self._end, self._interval_s)
        return self._descriptor, self._syncer

    def _write(self, descriptor: int, content: bytes) -> None:
        """Add bytes at the end, all or none. Raises `OSError`."""
        size = os.fstat(descriptor).st_size
        if size != self._end:
            raise DamagedFileError(
                f"the journal has {size} bytes where this process left {self._end}: another "
                "process has written to it.",
                where=str(self.path),
                hint="Stop the other process, then give the same command again.",
            )
        try:
            written = os.write(descriptor, content)
            # A regular file takes less than it was given only when something is wrong, such as a
            # full disk; the second write says what.
            while written < len(content):
                written += os.write(descriptor, content[written:])
        except BaseException:
            self._take_back(descriptor)
            raise

    def _take_back(self, descriptor: int) -> None:
        try:
            os.ftruncate(descriptor, self._end)
        except OSError:
            # The next append opens the file anew and finds a torn write, as after a crash.
            self._drop()

    def _drop(self) -> None:
        if self._syncer is not None:
            self._syncer.stop()
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._syncer = None

    def _check(self, found: Scan, path: Path) -> Scan:
        if found.damage is not None:
            raise DamagedFileError(
                "the journal is damaged in its middle, which no crash of dfgen explains.",
                where=f"{path}, offset {found.damage}",
                hint=f"Restore it from a backup. To keep the {found.end} bytes before the damage "
                f"and pay again for what comes after: truncate -s {found.end} '{path}'",
            )
        self.torn.pop(path, None)
        if found.size > found.end:
            self.torn[path] = found.size - found.end
        return found

    def _check_header(self, header: dict[str, Any]) -> None:
        if header == self._header:
            return
        if header.get("format") != FORMAT:
            raise StorageError(
                f"the journal has the format {header.get('format')!r}; this dfgen reads {FORMAT}.",
                where=str(self.path),
                hint="Finish the run with the version of dfgen that started it.",
            )
        raise DamagedFileError(
            f"the journal is that of {header.get('stage')} shard {header.get('shard')}.",
            where=str(self.path),
            hint="It was renamed or copied; put it back in its place.",
        )
