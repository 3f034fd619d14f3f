"""Grades every answer of a run anew and opens what depends on verdicts that have changed.

Values go first (`dfgen.stages.regrade.values`). A shard is done in four steps: what changes is
noted in a journal, what repair made of trajectories that need it no more is taken back, the shard
is written, and the journal says so. Killed anywhere, the next start takes the noted verdicts as
they are and ends in the same files. Until every shard is done, the run says of itself that it is
between two gradings, and no other stage works on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from dfgen.config.pipeline import Pipeline
from dfgen.errors import InputError
from dfgen.records import Trajectory
from dfgen.stages.regrade.settings import list_changes, list_differences, name_settings
from dfgen.stages.regrade.shard import Regraded, ShardGrader, add_up
from dfgen.stages.regrade.values import (
    count_values,
    describe_values,
    has_other_rewards,
    is_another_grader,
    set_values_aside,
)
from dfgen.stages.repair.record import is_judged
from dfgen.stages.repair.rejudge import reopen_shard
from dfgen.stages.sample.shard import read_written
from dfgen.stages.session import Session
from dfgen.stages.work import open_graders
from dfgen.store.finishing import finish_shard, take_back
from dfgen.store.run import REGRADING, Run


def preview_regrade(session: Session) -> dict[str, Any] | None:
    """Return what `regrade` would change; nothing is written. None when a stop was asked for.

    Raises:
        InputError: the answers are not complete.
        DfgenError: the graders cannot be started, or a file cannot be read.
    """
    shards = check_ready(session.run)
    with session.stop, closing(session), open_graders(session.pipeline.grade) as pool:
        grader = _make_grader(session, pool)
        changes = [grader.grade(shard).changes for shard in _report(session, shards)]
    if session.stop.requested:
        return None
    total = add_up(changes)
    another = is_another_grader(list_differences(session.run, session.pipeline))
    goes = another or has_other_rewards(total)
    return total | describe_values(count_values(session.run), goes=goes)


def regrade(session: Session) -> dict[str, Any] | None:
    """Grade every answer of a run with the session's settings, which become the run's own.

    The caller holds the run's lock.

    Returns:
        What has changed, counts by name, from all starts together; None when a stop was asked for
        before the end.

    Raises:
        InputError: the answers are not complete.
        DfgenError: the environment is at fault; everything finished is on disk.
    """
    run, settings = session.run, name_settings(session.pipeline)
    shards = check_ready(run)
    with session.stop, closing(session), open_graders(session.pipeline.grade) as pool:
        going_on = run.manifest.get_stage("sample").facts.get(REGRADING)
        if going_on is None or going_on["settings"] != settings:
            going_on = {
                "settings": settings,
                "changed": list_changes(run, session.pipeline),
                # After a regrade that was left in the middle for this one, shards differ in it.
                "undecided_before": None if going_on else _read_undecided(run),
                **_look_at_values(run, session.pipeline, going_on or {}),
            }
            for shard in shards:
                run.regrade_journal(shard).delete()
            session.note("sample", **{REGRADING: going_on})
        if going_on.get("another_grader", True):  # a regrade that an earlier dfgen began
            set_values_aside(run)
        run.adopt("grade", session.pipeline)
        grader = ShardGrader(
            run, pool, going_on["undecided_before"], session.pipeline.grade.undecided
        )
        changes = [regrade_shard(session, grader, shard) for shard in _report(session, shards)]
    if session.stop.requested:
        return None
    total = add_up(changes)
    goes = going_on.get("another_grader", True) or has_other_rewards(total)
    total |= describe_values(going_on.get("values", 0), goes=goes)
    done = {"settings": going_on["changed"], "changes": total}
    earlier = run.manifest.get_stage("sample").facts.get("regrades", [])
    session.note("sample", **{REGRADING: None, "regrades": [*earlier, done]})
    for shard in shards:
        run.regrade_journal(shard).delete()
    return total


def regrade_shard(session: Session, grader: ShardGrader, shard: int) -> dict[str, Any]:
    """Grade one shard anew and write it if anything has changed; returns the counts.

    Raises:
        DfgenError: the environment is at fault; what is noted of the shard is on disk.
    """
    with closing(session.run.regrade_journal(shard)) as journal:
        noted = list(journal.replay())
        if noted:
            found = Regraded(**noted[0])
        else:
            found = grader.grade(shard)
            journal.append([vars(found)])
        if len(noted) < 2:
            write_shard(session, shard, found)
            journal.append([{"written": True}])
    return found.changes


def write_shard(session: Session, shard: int, found: Regraded) -> None:
    """Put the new verdicts in the places of the old ones, and open what was made of those.

    A shard without a new verdict is left as it is, to the byte.
    """
    run = session.run
    if has_other_rewards(found.changes):
        set_values_aside(run)
    if found.take_back:
        # What was paid for stays: the repair stage judges it anew, by the new grader.
        reopen_shard(session, shard, found.take_back)
    if found.remask:
        take_back(run, "mask", shard, found.remask)
    if not found.verdicts:
        return
    written = read_written(session, shard)
    rows = [
        Trajectory.model_validate({**row.model_dump(), **found.verdicts.get(key, {})})
        for key, row in written.rows.items()
    ]
    finish_shard(run, "sample", shard, rows, written.rejects.values())


def check_ready(run: Run) -> list[int]:
    """Return the shards to grade.

    Raises:
        InputError: answers are still to be drawn or taken in, or a repair is in the middle.
    """
    record = run.manifest.get_stage("sample")
    shards = run.table("trajectories").shards()
    if record.state != "done" or not shards:
        raise InputError(
            "its answers are not complete, so there is nothing to grade anew.",
            where=str(run.root),
            hint="The command that began the run goes on with it.",
        )
    half = [
        shard
        for stage, shard in run.list_journals()
        if stage == "repair" and any(map(is_judged, run.journal(stage, shard).replay()))
    ]
    if half:
        raise InputError(
            f"the repair of shard {half[0]} is in the middle: what it has accepted so far was "
            "judged by the old grader.",
            where=str(run.root),
            hint="`dfgen repair` finishes it; what is on disk is not paid for again.",
        )
    return shards


def _look_at_values(run: Run, pipeline: Pipeline, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """Note what there is of values before anything goes, also of a regrade left in the middle."""
    another = is_another_grader(list_differences(run, pipeline))
    return {
        "another_grader": another or bool(earlier.get("another_grader", earlier)),
        "values": earlier.get("values", 0) or count_values(run),
    }


def _make_grader(session: Session, pool: Any) -> ShardGrader:
    run, after = session.run, session.pipeline.grade.undecided
    return ShardGrader(run, pool, _read_undecided(run), after)


def _read_undecided(run: Run) -> Any:
    return run.manifest.pipeline["grade"].get("undecided", "drop")


def _report(session: Session, shards: list[int]) -> Any:
    """Pass shards on until a stop is asked for, and tell the progress of each that is done."""
    table = session.run.table("trajectories")
    session.progress.start("regrade", sum(map(table.num_rows, shards)), 0)
    for shard in session.until_stopped(shards):
        yield shard
        session.progress.advance(table.num_rows(shard))
    if not session.stop.requested:
        session.progress.finish("regrade")
