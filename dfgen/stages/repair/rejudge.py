"""Has stored answers of the repairer judged anew, by other settings or another grader.

Nothing that was paid for is asked again. What the files of a shard hold of its answers goes back
into its journal, each as it arrived, and the shard is open: the repair stage then judges them, as
it does with those that a killed start had not got to, and asks only where none of them will do and
attempts are left. What no row needs in the end (attempts at an answer that counts as right now,
tests of a repair that is not the smallest any more) is kept in `history/`, counts as spent, and is
looked at again the next time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfgen.diff.spans import Span
from dfgen.errors import InputError
from dfgen.records import Control, Reject, Repair
from dfgen.stages.repair.judge import name_text
from dfgen.stages.repair.necessity import take_back as put_back
from dfgen.stages.repair.record import (
    Entry,
    is_judged,
    read_controls,
    read_latest,
    read_named,
    read_rejects,
    read_rows,
)
from dfgen.store.atomic_files import remove_files
from dfgen.store.fields import JUDGING_FIELDS
from dfgen.store.finishing import take_back
from dfgen.store.journal import Journal
from dfgen.store.layout import HISTORY, JOURNAL
from dfgen.store.os_errors import explain_os_errors
from dfgen.store.refusing import refuse_differences

if TYPE_CHECKING:
    from dfgen.stages.session import Session
    from dfgen.store.run import Run

REJUDGING = "rejudging"
"""Fact of `repair` in the manifest: true while stored answers are being put back into journals."""


def begin_rejudge(session: Session, facts: Mapping[str, str]) -> int:
    """Open every shard of repairs so that its answers are judged by the session's settings.

    The caller holds the run's lock and runs the repair stage then. Killed anywhere, the next start
    goes on.

    Args:
        facts: what repairs depend on besides settings (`RepairStage.list_facts`).

    Returns:
        How many answers there are to judge.

    Raises:
        InputError: there are none.
        RunMismatchError: a setting differs that says how answers are asked for.
    """
    run = session.run
    if not list_shards(run):
        raise InputError(
            "there are no answers of a repairer to judge anew.",
            where=str(run.root),
            hint="`dfgen repair RUN` asks for repairs.",
        )
    others = [
        difference
        for difference in run.find_differences("repair", session.pipeline, facts)
        if difference.field not in JUDGING_FIELDS
    ]
    refuse_differences(run.root, "repair", others)
    session.note("repair", **{REJUDGING: True})
    run.adopt_fields(JUDGING_FIELDS, session.pipeline)
    complete_rejudge(session)
    return sum(
        not is_judged(entry)
        for shard in list_shards(run)
        for entries in read_latest(session, shard).values()
        for entry in entries.values()
    )


def complete_rejudge(session: Session) -> None:
    """Open the shards that are still to be opened, if that was begun. Raises `StorageError`."""
    run = session.run
    if not run.manifest.get_stage("repair").facts.get(REJUDGING):
        return
    for shard in list_shards(run):
        reopen_shard(session, shard)
    run.set_stage("repair", state="running", counts={}, **{REJUDGING: None})


def list_shards(run: Run) -> list[int]:
    """List the shards of which the repair stage has anything on disk."""
    begun = {shard for stage, shard in run.list_journals() if stage == "repair"}
    tables = (run.output("repair"), run.rejects("repair"))
    return sorted(begun.union(*(table.shards() for table in tables)))


def reopen_shard(session: Session, shard: int, keys: Collection[str] | None = None) -> None:
    """Put the stored answers of a shard back into its journal, unjudged, and take out its rows.

    A crash in between leaves both, and the same call again ends in the same files.

    Args:
        keys: trajectory_ids; None: all there are.

    Raises:
        StorageError: something cannot be read or written.
    """
    run = session.run
    rows, rejects = read_rows(session, shard), read_rejects(session, shard)
    controls = read_controls(session, shard, {})
    written = {*rows, *rejects, *controls}
    wanted = written if keys is None else written & set(keys)
    unused = [] if keys is not None else _list_unused(run, shard)
    entries = [
        *_recall_rows(session, shard, [rows[key] for key in rows if key in wanted]),
        *_recall_rejects(rejects[key] for key in rejects if key in wanted),
        *_recall_controls(controls[key] for key in controls if key in wanted),
    ]
    for path in unused:
        entries += Journal(path, stage="repair", shard=shard, record=Entry).replay()
    known = read_latest(session, shard)
    chosen = known if keys is None else {key: known[key] for key in keys if key in known}
    entries += [e for of_one in chosen.values() for e in of_one.values() if is_judged(e)]
    if entries:
        session.journal("repair", shard, Entry).append(
            [_forget_verdict(entry) for entry in entries]
        )
        session.journal("repair", shard, Entry).close()
    take_back(run, "repair", shard, wanted)
    for path in unused:
        with explain_os_errors(path, "remove"):
            remove_files([path])
            path.parent.rmdir()
            path.parent.parent.rmdir()


def keep_unused(
    session: Session,
    shard: int,
    rows: Mapping[str, Repair],
    rejects: Mapping[str, Reject],
    controls: Mapping[str, Control],
) -> None:
    """Keep what a shard's journal holds and none of its rows does, before the journal goes.

    The folder's name is made of what is kept, so that a start after a crash writes it once.

    Raises:
        StorageError: it cannot be written.
    """
    used = {
        *((e["trajectory_id"], _identify(e)) for e in _recall_rejects(rejects.values())),
        *((e["trajectory_id"], _identify(e)) for e in _recall_controls(controls.values())),
    }
    for key, row in rows.items():
        used |= {(key, ("repair", _write(a.model_dump()))) for a in row.attempts}
        tests = [entry.attempt for entry in row.necessity or () if entry.attempt is not None]
        used |= {(key, ("necessity", _write(test.model_dump()))) for test in tests}
    unused = [
        entry
        for key, entries in read_latest(session, shard).items()
        for entry in entries.values()
        if not is_judged(entry) or (key, _identify(entry)) not in used
    ]
    if not unused:
        return
    digest = hashlib.sha256(_write(unused).encode()).hexdigest()[:12]
    folder = session.run.root / HISTORY / f"unused-{shard:05d}-{digest}" / JOURNAL
    path = folder / f"repair-{shard:05d}.jsonl"
    with closing(Journal(path, stage="repair", shard=shard)) as journal:
        if path.exists() and sum(1 for _ in journal.replay()) == len(unused):
            return
        journal.delete()
        journal.append(unused)


def _list_unused(run: Run, shard: int) -> list[Path]:
    name = f"unused-{shard:05d}-*/{JOURNAL}/repair-{shard:05d}.jsonl"
    return sorted((run.root / HISTORY).glob(name))


def _identify(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["purpose"], _write(entry["attempt"])


def _write(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _recall_rows(session: Session, shard: int, rows: list[Repair]) -> Iterator[dict[str, Any]]:
    tested = [row.trajectory_id for row in rows if row.necessity]
    texts = {
        trajectory.trajectory_id: trajectory.completion
        for trajectory in (read_named(session, shard, tested) if tested else ())
    }
    for row in rows:
        for attempt in row.attempts:
            yield _make_entry(row.trajectory_id, "repair", attempt.model_dump())
        for entry in row.necessity or ():
            if entry.attempt is not None:
                text, _ = put_back(
                    texts[row.trajectory_id],
                    row.repair,
                    Span(entry.start, entry.end),
                    Span(entry.repair_start, entry.repair_end),
                )
                yield _make_entry(
                    row.trajectory_id, "necessity", entry.attempt.model_dump(), name_text(text)
                )


def _recall_rejects(rejects: Any) -> Iterator[dict[str, Any]]:
    for reject in rejects:
        for attempt in json.loads(reject.evidence).get("attempts", ()):
            yield _make_entry(reject.row_id, "repair", attempt)


def _recall_controls(controls: Any) -> Iterator[dict[str, Any]]:
    for control in controls:
        yield _make_entry(control.trajectory_id, "control", control.attempt.model_dump())


def _make_entry(
    key: str, purpose: str, attempt: dict[str, Any], about: str | None = None
) -> dict[str, Any]:
    return {"trajectory_id": key, "purpose": purpose, "about": about, "attempt": attempt}


def _forget_verdict(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as its answer arrived; of one that failed the reason is the server's, and stays."""
    attempt = dict(entry["attempt"])
    if attempt["finish_reason"] != "error":
        attempt |= {"accepted": False, "reason": "unjudged", "detail": ""}
    return {
        "trajectory_id": entry["trajectory_id"],
        "purpose": entry["purpose"],
        "judged": False,
        "about": entry.get("about"),
        "attempt": attempt,
    }
