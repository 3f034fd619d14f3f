"""Compares every file of a run with the checksum that it was written with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dfgen.errors import StorageError
from dfgen.store.entries import hash_file
from dfgen.store.layout import Stage

if TYPE_CHECKING:
    from dfgen.store.run import Run


def check_files(run: Run) -> list[str]:
    """Return what is wrong with the finished shards of a run; empty if nothing.

    A shard that an earlier dfgen wrote has no checksum until its stage runs again; nothing is said
    of it here. Of a shard that is to be made anew only the checksum is looked at.
    """
    violations = []
    for stage in run.stages:
        for shard in run.output(stage).shards():
            try:
                violations += _check_shard(run, stage, shard)
            except StorageError as error:
                violations.append(str(error))
    known = set(violations)
    return violations + [each for each in find_missing(run) if each not in known]


def find_missing(run: Run) -> list[str]:
    """Return the files of finished shards that are gone though their stage says it is done.

    No file is read. A stage that is at work makes anew what somebody took away.
    """
    found = []
    for stage in run.stages:
        if run.manifest.get_stage(stage).state != "done":
            continue
        for shard in run.list_noted(stage):
            entry = run.entry(stage, shard)
            paths = [run.root / name for name in (entry.sha256 if entry else ())]
            found += [f"{path}: is gone" for path in paths if not path.exists()]
    return found


def count_unknown_files(run: Run) -> int:
    """Return how many finished shards there are of which no checksum is known."""
    return sum(
        run.entry(stage, shard) is None
        for stage in run.stages
        for shard in run.output(stage).shards()
    )


def _check_shard(run: Run, stage: Stage, shard: int) -> list[str]:
    entry = run.entry(stage, shard)
    if entry is None:
        return []
    violations = []
    for name, sha256 in entry.sha256.items():
        path = run.root / name
        if not path.exists():
            violations.append(f"{path}: is gone")
        elif hash_file(path) != sha256:
            violations.append(f"{path}: is not the file that was written (its checksum differs)")
    done = run.manifest.get_stage(stage).state == "done"
    if done and not run.is_current(stage, shard):
        violations.append(
            f"{run.output(stage).path(shard)}: was made from shards that have been written anew "
            f"since, and {stage} is said to be done"
        )
    return violations
