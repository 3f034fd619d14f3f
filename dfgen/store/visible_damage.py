"""Finds damage of a run that shows at once: files that are gone, torn, or of another size.

No table is read for it and no checksum compared; `dfgen validate` does both. Who only wants figures
of a run passes damaged files over, says so, and goes on with the rest (`read_around_damage`).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from dfgen.errors import DamagedFileError
from dfgen.regular_files import open_for_arrow
from dfgen.store.entries import ShardEntry, find_entry_file
from dfgen.store.layout import BESIDE, JOURNAL, MANIFEST, Stage
from dfgen.store.manifest import is_manifest_whole
from dfgen.store.mounts import exists
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.parquet import PAGES_END
from dfgen.store.run import Run

if TYPE_CHECKING:
    import pyarrow.parquet as pq

    from dfgen.store.shards import ShardTable

T = TypeVar("T")

_MAGIC = b"PAR1"
"""The first and the last bytes of a Parquet file."""

_LEAST = 2 * len(_MAGIC) + 4
"""Bytes of a Parquet file without anything between its ends: the footer's length stands there."""


@dataclass(frozen=True, slots=True)
class VisibleDamage:
    """A damaged file, and what is wrong with it."""

    path: Path
    what: str


def read_around_damage(run: Run, read: Callable[[Run], T]) -> tuple[T, list[VisibleDamage]]:
    """Return what `read` makes of a run without its damaged files, and these.

    Damage that shows only while a table is read is found by reading it.

    Raises:
        StorageError: a file cannot be read for another reason.
        DamagedFileError: run.json is damaged.
    """
    found = look_for_damage(run)
    while True:
        rest = RestOfRun(run, [each.path for each in found]) if found else run
        try:
            return read(rest), found
        except DamagedFileError as error:
            path = Path(error.where or run.root)
            if path in rest.passed_over or not path.is_file() or path.name == MANIFEST:
                raise
            found.append(VisibleDamage(path, error.what))


class RestOfRun(Run):
    """A run whose damaged files count as not there. It is read, and never written.

    Args:
        run: the whole run.
        damaged: files of it.
    """

    def __init__(self, run: Run, damaged: Sequence[Path]) -> None:
        super().__init__(run.root, run.manifest)
        self.passed_over = frozenset(damaged)

    def lock(self) -> NoReturn:
        """Refuse: what is passed over would be made anew."""
        raise AssertionError("a run without its damaged files is written")

    def _find_entry(self, stage: Stage, shard: int) -> ShardEntry | None:
        if find_entry_file(self.root / JOURNAL, stage, shard) in self.passed_over:
            return self.manifest.shards.get(stage, {}).get(shard)
        return super()._find_entry(stage, shard)


def look_for_damage(run: Run) -> list[VisibleDamage]:
    """Look at every file of a run: is it there, and has it the footer and the size it should have?

    Raises:
        StorageError: a folder cannot be listed, or run.json cannot be read.
    """
    found = [*_look_at_all(run)]
    if found:  # who works on the run may have replaced a file between two looks
        run.refresh()
        again = set(_look_at_all(run))
        found = [each for each in found if each in again]
    return found


def describe_damage(run: Run, found: Sequence[VisibleDamage]) -> str | None:
    """Say in one line what is damaged, and who reads everything; None if nothing is."""
    if not found:
        return None
    first = found[0]
    files = "a file is damaged" if len(found) == 1 else f"{len(found):,} files are damaged"
    # What Arrow says of a page has lines of its own.
    return (
        f"{files}, {'' if len(found) == 1 else 'the first is '}{first.path}: "
        f"{' '.join(first.what.split()).rstrip('.')}. Its rows are left out here; `dfgen validate "
        f"{shlex.quote(str(run.root))}` reads every file and says what to do"
    )


def list_gone(run: Run, note: ShardEntry | None) -> list[Path]:
    """List the files that the note on a finished shard names and that are not there."""
    paths = [run.root / name for name in (note.sha256 if note else ())]
    return [path for path in paths if not exists(path)]


def _look_at_all(run: Run) -> Iterator[VisibleDamage]:
    if is_manifest_whole(run.root / MANIFEST) is False:
        what = "is not the file that dfgen wrote (its checksum differs)"
        yield VisibleDamage(run.root / MANIFEST, what)
    for stage in run.stages:
        tables = (run.output(stage), run.rejects(stage), *map(run.table, BESIDE.get(stage, ())))
        shards = {shard for table in tables for shard in table.shards()}
        for shard in sorted(shards.union(run.list_noted(stage))):
            yield from _look_at_shard(run, stage, shard, tables)


def _look_at_shard(
    run: Run, stage: Stage, shard: int, tables: Sequence[ShardTable]
) -> Iterator[VisibleDamage]:
    try:
        note = run.entry(stage, shard)
    except DamagedFileError as error:
        yield VisibleDamage(Path(error.where or run.root), error.what)
        return
    if run.manifest.get_stage(stage).state == "done":  # at work, it makes anew what is gone
        yield from (VisibleDamage(path, "is gone") for path in list_gone(run, note))
    # While prompts are dropped, and while a shard is made anew, its note is that of other files.
    settled = run.manifest.get_stage("prompts").state != "running"
    rows: list[int | None] = [None] * len(tables)
    if note is not None and settled and -1 not in note.made_from.values():
        rows[:2] = note.rows, note.rejects
    for table, noted in zip(tables, rows, strict=True):
        what = look_at_file(table.path(shard), noted) if table.exists(shard) else None
        if what is not None:
            yield VisibleDamage(table.path(shard), what)


def look_at_file(path: Path, rows: int | None) -> str | None:
    """Say what is wrong with a Parquet file as far as its two ends show it; None if nothing.

    Args:
        rows: that it should have, if that is known.

    Raises:
        StorageError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with explain_os_errors(path, "read"):
        try:
            with open_for_arrow(path) as source:
                size, head = source.size(), source.read(len(_MAGIC))
                if size < _LEAST or head != _MAGIC:
                    return f"is no Parquet file ({size:,} bytes)"
                metadata = pq.read_metadata(source)
        except FileNotFoundError:
            return None  # replaced or set aside since it was listed
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            return f"is torn: {error}"
    if _find_end(metadata) + metadata.serialized_size + _LEAST - len(_MAGIC) > size:
        return f"is shorter than its footer says ({size:,} bytes)"
    if rows is not None and metadata.num_rows != rows:
        return f"has {metadata.num_rows:,} rows where its note says {rows:,}"
    return None


def _find_end(metadata: pq.FileMetaData) -> int:
    """The place after the last page, as noted; 0 in a file of an earlier dfgen."""
    noted = (metadata.metadata or {}).get(PAGES_END.encode(), b"0")
    return int(noted) if noted.isdigit() else 0
