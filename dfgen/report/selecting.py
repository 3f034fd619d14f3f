"""Finds the answers and rejected rows that a person asks for, by place, by id, or by own id."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from dfgen.errors import InputError

if TYPE_CHECKING:
    from dfgen.store.finished import FinishedRun
    from dfgen.store.run import Run

_COLUMNS = ("trajectory_id", "prompt_id", "mask_source", "source_id")
_REJECT_COLUMNS = ("stage", "row_id", "source_id", "prompt_id", "reason", "detail")

Wanted = Callable[[Mapping[str, Any]], bool]


def select_first(
    run: Run, count: int, sources: Collection[str], *, one_per_prompt: bool = False
) -> list[str]:
    """Select the first trajectories whose masks come from one of these sources."""
    seen: set[str] = set()

    def is_wanted(row: Mapping[str, Any]) -> bool:
        if row["mask_source"] not in sources or (one_per_prompt and row["prompt_id"] in seen):
            return False
        seen.add(row["prompt_id"])
        return True

    return list(islice(_iter_ids(run, is_wanted), count))


def select_row(run: Run, row_id: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Select every trajectory whose id, or whose prompt's, begins with `row_id`.

    Returns:
        The trajectory_ids; where there is none, the rejected rows of such an id.

    Raises:
        InputError: there is neither.
    """
    keys = ("trajectory_id", "prompt_id")
    ids = list(_iter_ids(run, lambda row: any(row[key].startswith(row_id) for key in keys)))
    if ids:
        return ids, []
    rejects = list(iter_rejects(run, lambda row: row["row_id"].startswith(row_id)))
    if not rejects:
        raise InputError(
            f"no trajectory has an id that begins with {row_id!r}.",
            where=str(run.root),
            hint=f"`dfgen inspect {run.root}` shows some ids; `--rejects` what was refused; "
            "`--id` finds your own ids.",
        )
    return [], rejects


def select_own(finished: FinishedRun, source_id: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Select the trajectories and the rejected rows that have the user's own id.

    Raises:
        InputError: there is none; says whether the run knows own ids at all, and whether the
            question was read and has no masks yet.
    """
    run = finished.run
    ids = list(_iter_ids(run, lambda row: row["source_id"] == source_id))
    rejects = list(iter_rejects(run, lambda row: row["source_id"] == source_id))
    if ids or rejects:
        return ids, rejects
    for name in ("trajectories", "prompts"):
        if any(row["source_id"] == source_id for row in _iter_own(run, name)):
            raise InputError(
                f"the row with the own id {source_id!r} was read, and has no mask yet.",
                where=str(run.root),
                hint=f"`dfgen status {run.root}` says how far the run is.",
            )
    section = finished.pipeline.imports or finished.pipeline.pairs or finished.pipeline.prompts
    if section is not None and section.columns.id is None and finished.pipeline.pairs is None:
        raise InputError(
            "this run was made without own ids.",
            where=str(run.root),
            hint="Name the column that holds them in `prompts.columns.id` (of imported answers in "
            "`imports.columns.id`) when you start a run.",
        )
    raise InputError(
        f"no row has the own id {source_id!r}.",
        where=str(run.root),
        hint=f"`dfgen inspect {run.root} --first 3` shows what ids look like here; rows that were "
        "added to the source since are read by the next `dfgen run`.",
    )


def iter_rejects(run: Run, wanted: Wanted = lambda _: True) -> Iterator[dict[str, Any]]:
    """Yield the rejected rows of all stages, without their evidence."""
    for stage in run.stages:
        for row in run.rejects(stage).iter_rows(columns=_REJECT_COLUMNS):
            if wanted(row):
                yield row


def _iter_ids(run: Run, wanted: Wanted) -> Iterator[str]:
    for row in run.table("masks").iter_rows(columns=_COLUMNS):
        if wanted(row):
            yield row["trajectory_id"]


def _iter_own(run: Run, name: str) -> Iterator[dict[str, Any]]:
    yield from run.table(name).iter_rows(columns=["source_id"])
