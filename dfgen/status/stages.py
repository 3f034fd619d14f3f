"""Counts how far each stage of a run is: from notes on finished shards, and footers without one.

A million rows are counted without reading them. The one column that is read is the reward of
trajectories whose shard is not repaired yet, because only wrong answers are repaired.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.errors import StorageError
from dfgen.regular_files import check_regular
from dfgen.store.expected_rows import count_inputs, read_num_samples
from dfgen.store.layout import STAGES, Stage

if TYPE_CHECKING:
    from dfgen.store.run import Run
    from dfgen.store.shards import ShardTable


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How far a stage is; rows of shards that are to be made anew are pending.

    Attributes:
        stage, state: as in the manifest.
        input: rows given so far; `output`, `rejects` and `pending` add up to it.
        journalled: answers of shards in work that are on disk already.
        shards, shards_done: how many there are to do, and are done.
        started, finished: ISO 8601, UTC.
    """

    stage: Stage
    state: str
    input: int
    output: int
    rejects: int
    pending: int
    journalled: int
    shards: int
    shards_done: int
    started: str | None
    finished: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def measure_stages(run: Run) -> list[StageStatus]:
    """Measure every stage that the run has, in order.

    Raises:
        StorageError: a file cannot be read.
    """
    sources = run.table("prompts").shards()
    return [_measure_stage(run, stage, sources) for stage in run.stages]


def _measure_stage(run: Run, stage: Stage, sources: list[int]) -> StageStatus:
    record = run.manifest.get_stage(stage)
    done, rows, refused = _count_finished(run, stage)
    given = _count_given(run, stage, sources, done, rows + refused)
    return StageStatus(
        stage=stage,
        state=record.state,
        input=given,
        output=rows,
        rejects=refused,
        pending=max(0, given - rows - refused),
        journalled=_count_journalled(run, stage),
        shards=max(len(sources), len(done)),
        shards_done=len(done),
        started=record.started,
        finished=record.finished,
    )


def _count_finished(run: Run, stage: Stage) -> tuple[dict[int, int], int, int]:
    """Finished shards with the rows they account for; all rows; all rejects."""
    output, ledger = run.output(stage), run.rejects(stage)
    present, refused = set(output.shards()), set(ledger.shards())
    done: dict[int, int] = {}
    rows = rejects = 0
    for shard in sorted(present | refused):
        if shard in present and not run.is_current(stage, shard):
            continue
        entry = run.entry(stage, shard)
        if entry is not None and shard in present:
            found = (entry.rows, entry.rejects)
        else:
            found = (_count_rows(output, shard), _count_rows(ledger, shard))
        rows, rejects = rows + found[0], rejects + found[1]
        if shard in present:
            done[shard] = sum(found)
    return done, rows, rejects


def _count_given(
    run: Run, stage: Stage, sources: list[int], done: dict[int, int], accounted: int
) -> int:
    record = run.manifest.get_stage(stage)
    reported = int(record.counts.get("input", accounted))
    if stage not in STAGES:
        return accounted
    if stage == "prompts" or run.manifest.kind in ("pairs", "retokenized"):
        return max(reported, accounted)
    if stage == "sample" and not read_num_samples(run):
        return max(int(record.facts.get("cells") or 0), accounted)
    if stage == "repair":
        # A finished shard has a row or a reject for each wrong answer: nothing of it is read.
        open_ones = [shard for shard in sources if shard not in done]
        return sum(done.values()) + sum(count_inputs(run, stage, each) or 0 for each in open_ones)
    if stage == "sample":
        size = read_num_samples(run)[-1]
        return size * sum(_count_shard(run, "prompts", shard) for shard in sources)
    return sum(_count_shard(run, "sample", shard) for shard in sources)


def _count_shard(run: Run, stage: Stage, shard: int) -> int:
    """Rows that a stage has written of a shard, by its note if there is one."""
    output, entry = run.output(stage), run.entry(stage, shard)
    if entry is None or not output.exists(shard):
        return _count_rows(output, shard) if output.exists(shard) else 0
    return entry.rows


def _count_rows(table: ShardTable, shard: int) -> int:
    """Rows by the footer; 0 where the file has gone since it was listed."""
    try:
        return table.num_rows(shard)
    except StorageError:
        if table.exists(shard):
            raise
        return 0


def _count_journalled(run: Run, stage: Stage) -> int:
    """Rows in the journals of a stage: lines, their heads left out; of repairs, those accepted."""
    paths = [
        path
        for each, shard in run.list_journals()
        if each == stage
        for path in run.journal(each, shard).list_files()
    ]
    if stage == "repair":
        return len(set[bytes]().union(*map(_find_accepted, paths)))
    return sum(max(0, _count_lines(path) - 1) for path in paths)


_ACCEPTED = re.compile(
    rb'\{"trajectory_id":"([^"]+)","purpose":"repair"[^\n]*?"attempt":\{"index":\d+,"accepted":true'
)
"""A line about an accepted attempt. A row has lines for every answer, when it comes and when it is
judged."""


def _find_accepted(path: Path) -> set[bytes]:
    """Find the wrong answers of which a journal holds an accepted repair."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            return {found[1] for line in file if (found := _ACCEPTED.search(line))}
    except OSError:  # finished and deleted since it was listed
        return set()


def _count_lines(path: Path) -> int:
    try:
        check_regular(path)
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except OSError:  # finished and deleted since it was listed
        return 0
