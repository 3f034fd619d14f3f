"""Finds every file of a run that is damaged: by its checksum, and by reading all that it holds."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dfgen.errors import StorageError
from dfgen.store.entries import hash_file
from dfgen.store.layout import BESIDE, REJECTS, TABLES, TEMPORARY_PREFIX, Stage
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.visible_damage import list_gone

if TYPE_CHECKING:
    from dfgen.store.run import Run
    from dfgen.store.shards import ShardTable

_NO_FILE = "is a folder, a device, a pipe or a socket, not a file"


@dataclass(frozen=True, slots=True)
class Damage:
    """One damaged file of a finished shard; `readable` says whether its rows can be looked at."""

    path: Path
    stage: Stage
    shard: int
    what: str
    readable: bool = True

    def __str__(self) -> str:
        return f"{self.path}: {self.what} ({self.stage}, shard {self.shard})"


def find_damage(run: Run, stages: Iterable[Stage] | None = None) -> list[Damage]:
    """Look at every file of every finished shard and return all that are damaged.

    Every file is compared with the checksum that it was written with, and read to its end. A shard
    that an earlier dfgen wrote has no checksum until `dfgen migrate` or its stage notes one; then
    the checksums of the pages inside the file are all there is (`count_unknown_files`).

    Args:
        stages: only these; all if None.
    """
    found: list[Damage] = []
    for stage in run.stages if stages is None else stages:
        for shard in sorted({*run.output(stage).shards(), *run.rejects(stage).shards()}):
            found += _look_at_shard(run, stage, shard)
    known = {damage.path for damage in found}
    missing = find_missing(run) if stages is None else []
    return found + [damage for damage in missing if damage.path not in known]


def find_missing(run: Run) -> list[Damage]:
    """Return the files of finished shards that are gone though their stage says it is done.

    No file is read. A stage that is at work makes anew what somebody took away.
    """
    found = []
    for stage in run.stages:
        if run.manifest.get_stage(stage).state != "done":
            continue
        for shard in run.list_noted(stage):
            gone = list_gone(run, run.entry(stage, shard))
            found += [Damage(path, stage, shard, "is gone") for path in gone]
    return found


def find_taken(run: Run) -> list[Path]:
    """Return the noted files that are gone of stages that are not done, but for those set aside.

    No damage: the stage makes them anew, which may cost what they have cost.
    """
    found = []
    for stage in run.stages:
        if run.manifest.get_stage(stage).state == "done":
            continue
        for shard in run.list_noted(stage):
            entry = run.entry(stage, shard)
            if entry is not None and -1 not in entry.made_from.values():
                found += list_gone(run, entry)
    return found


def find_strays(run: Run) -> list[Path]:
    """Return what lies in the folders of tables and is no shard of the run.

    Whoever reads such a folder by a pattern (`masks/*.parquet`) reads it as rows of the run; dfgen
    itself reads shards alone. Files that are being written are not named.

    Raises:
        StorageError: a folder cannot be listed.
    """
    own = {run.rejects(stage).path(n) for stage in run.stages for n in run.rejects(stage).shards()}
    for stage in run.stages:
        for table in (run.output(stage), *map(run.table, BESIDE.get(stage, ()))):
            own |= set(map(table.path, table.shards()))
    found: list[Path] = []
    for folder in (run.root / name for name in (*TABLES, REJECTS)):
        if folder.is_dir():
            with explain_os_errors(folder, "list"):
                found += sorted(set(folder.iterdir()) - own)
    return [path for path in found if not path.name.startswith(TEMPORARY_PREFIX)]


def advise_repair(run: Run, damage: Iterable[Damage]) -> str:
    """Say how a run gets back what was damaged: the command that makes those shards anew."""
    damage = list(damage)
    if {each.shard for each in damage} <= {each.shard for each in run.manifest.dropping}:
        return (
            "Nothing else need have changed them: prompts were being dropped from these shards. "
            f"`dfgen run {shlex.quote(str(run.root))}` completes that, and makes nothing anew."
        )
    shards: dict[Stage, set[int]] = {}
    for each in damage:
        shards.setdefault(each.stage, set()).add(each.shard)
    options = " ".join(
        f"--redo {stage}:{','.join(map(str, sorted(numbers)))}" for stage, numbers in shards.items()
    )
    return (
        "Something else changed them. Restore them from a backup; or make those shards anew, "
        f"paying again for what was paid for: dfgen run {shlex.quote(str(run.root))} {options}"
    )


def count_unknown_files(run: Run) -> int:
    """Return how many finished shards there are of which no checksum is known."""
    return sum(
        run.entry(stage, shard) is None
        for stage in run.stages
        for shard in run.output(stage).shards()
    )


def _look_at_shard(run: Run, stage: Stage, shard: int) -> Iterator[Damage]:
    try:
        entry = run.entry(stage, shard)
    except StorageError as error:
        yield Damage(Path(error.where or run.root), stage, shard, error.what, readable=False)
        return
    noted = dict(entry.sha256) if entry else {}
    done = run.manifest.get_stage(stage).state == "done"
    tables = [run.output(stage), run.rejects(stage), *map(run.table, BESIDE.get(stage, ()))]
    for table in tables:
        path, sha256 = table.path(shard), noted.pop(run.name_file(table, shard), None)
        if not path.exists():
            if sha256 is not None:
                yield Damage(path, stage, shard, "is gone")
            continue
        if not path.is_file():
            yield Damage(path, stage, shard, _NO_FILE, readable=False)
            continue
        complaint, what = _read_through(table, shard), []
        if sha256 is not None and hash_file(path) != sha256:
            what.append("is not the file that was written (its checksum differs)")
        elif entry is not None and sha256 is None and done:
            what.append("is a file that its stage did not note")
        if complaint is not None:
            what.append(complaint)
        if what:
            yield Damage(path, stage, shard, "; ".join(what), readable=complaint is None)
    for name in noted:
        yield Damage(run.root / name, stage, shard, "is a file that no stage writes")


def _read_through(table: ShardTable, shard: int) -> str | None:
    try:
        table.verify(shard)
    except StorageError as error:
        return error.what
    return None
