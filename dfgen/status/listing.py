"""Finds the runs beneath a folder and says of each how it stands; damaged ones are named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dfgen.errors import DfgenError
from dfgen.records import is_right
from dfgen.status.run_status import find_state, read_steadily
from dfgen.status.stages import measure_stages
from dfgen.status.worker import find_workers
from dfgen.store.layout import MANIFEST
from dfgen.store.run import Run
from dfgen.store.visible_damage import describe_damage, read_around_damage


@dataclass(frozen=True)
class Listed:
    """One run in a list.

    Attributes:
        root: its directory.
        state: working, unfinished, finished, or damaged.
        size_bytes: of all its files.
        age_s: seconds since it was begun; None: nobody knows.
        prompts, trajectories, masks: rows there are.
        pass_rate: share of the trajectories that are right; None without any.
        problem: what is damaged, as far as a look shows it; the rows are of the rest. None if
            nothing is.
    """

    root: Path
    state: str
    size_bytes: int
    age_s: float | None = None
    name: str | None = None
    created: str | None = None
    prompts: int | None = None
    trajectories: int | None = None
    masks: int | None = None
    pass_rate: float | None = None
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data; names are stable."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"run": str(values.pop("root")), **values}


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield the run directories at and beneath a folder, by name; links are not followed.

    Raises:
        OSError: the folder itself cannot be listed; a folder beneath that cannot is passed over.
    """
    os.listdir(folder)  # noqa: PTH208 (says at once what is wrong with it)
    for name, folders, files in os.walk(folder):
        folders.sort()
        if MANIFEST in files:
            yield Path(name)
            folders.clear()  # a run holds no others


def describe_run(root: Path) -> Listed:
    """Describe a run for a list; what cannot be read is said and ends nothing."""
    size = measure_size(root)
    try:
        return read_steadily(lambda: _describe_run(root, size))
    except DfgenError as error:
        where = f"{error.where}: " if error.where else ""
        return Listed(root, "damaged", size, problem=f"{where}{error.what}")


def _describe_run(root: Path, size: int) -> Listed:
    run = Run.open_or_create(root, None)
    listed, damage = read_around_damage(run, lambda run: _describe_whole(run, size))
    if damage:
        return replace(listed, state="damaged", problem=describe_damage(run, damage))
    return listed


def _describe_whole(run: Run, size: int) -> Listed:
    root, stages = run.root, measure_stages(run)
    rows = {each.stage: each.output for each in stages}
    return Listed(
        root=root,
        state=find_state(stages, find_workers(root)),
        size_bytes=size,
        age_s=_measure_age(run.manifest.created),
        name=str(run.manifest.pipeline.get("name", "")),
        created=run.manifest.created,
        prompts=rows.get("prompts"),
        trajectories=rows.get("sample"),
        masks=rows.get("mask"),
        pass_rate=measure_pass_rate(run),
    )


def measure_pass_rate(run: Run) -> float | None:
    """Measure the share of trajectories that are right; one column of numbers is read."""
    table = run.table("trajectories")
    rows = right = 0
    for shard in table.shards():
        for reward in table.read(shard, ["reward"])["reward"].to_pylist():
            rows += 1
            right += is_right(reward)
    return right / rows if rows else None


def measure_size(root: Path) -> int:
    """Add up the sizes of the files beneath a directory; what vanishes meanwhile is left out."""
    size = 0
    for folder, _, files in os.walk(root):
        for name in files:
            try:
                size += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118
            except OSError:
                continue
    return size


def _measure_age(created: str) -> float | None:
    try:
        begun = datetime.fromisoformat(created)
    except ValueError:
        return None
    begun = begun if begun.tzinfo else begun.replace(tzinfo=UTC)
    return max(0.0, (datetime.now(UTC) - begun).total_seconds())
