"""Checks the rows of a run that holds masks but no answers of its own: pairs, or masks that were
carried over from another run.

What was given is not in such a run, so that nothing was lost cannot be proved; that what is there
fits together can.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dfgen.errors import StorageError
from dfgen.store.layout import STAGES

if TYPE_CHECKING:
    from dfgen.store.finished import FinishedRun
    from dfgen.store.run import Run


def check_bare_masks(finished: FinishedRun) -> list[str]:
    """What contradicts itself; empty if nothing does.

    Every mask stands once and was not refused as well, prompts stand once, journals can be read,
    and stages hold as many rows as they reported.
    """
    run = finished.run
    try:
        problems = _check_masks(run)
        if finished.prompts is not None and finished.prompts is run.table("prompts"):
            rows = finished.prompts.iter_rows(columns=["prompt_id"])
            problems += _check_once("prompt", Counter(row["prompt_id"] for row in rows))
        return problems + _check_journals(run) + _check_reports(run)
    except StorageError as error:
        return [str(error)]


def _check_masks(run: Run) -> list[str]:
    rows = run.table("masks").iter_rows(columns=["trajectory_id"])
    written = Counter(row["trajectory_id"] for row in rows)
    refused = {row["row_id"] for row in run.rejects("mask").iter_rows(columns=["row_id"])}
    both = sorted(written.keys() & refused)
    shown = [f"mask {name} is in the masks and in the rejects." for name in both]
    return _check_once("mask", written) + shown


def _check_once(what: str, counts: Counter[str]) -> list[str]:
    return [f"{what} {name} stands {n} times." for name, n in sorted(counts.items()) if n > 1]


def _check_journals(run: Run) -> list[str]:
    problems = []
    for stage, shard in run.list_journals():
        try:
            for _ in run.journal(stage, shard).replay():
                pass
        except StorageError as error:
            problems.append(str(error))
    return problems


def _check_reports(run: Run) -> list[str]:
    problems = []
    for stage in STAGES:
        record = run.manifest.get_stage(stage)
        if record.state != "done":
            continue
        tables = {"output": run.output(stage), "rejects": run.rejects(stage)}
        for name, table in tables.items():
            found = sum(map(table.num_rows, table.shards()))
            reported = record.counts.get(name, found)
            if reported != found:
                problems.append(f"{stage}: reported {reported} {name}, but the files hold {found}.")
    return problems
