"""`dfgen inspect`: shows single answers of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.names import NamedChoice
from dfgen.cli.options import EXISTING_RUN, examples

if TYPE_CHECKING:
    from dfgen.store.finished import FinishedRun

SOURCES = ("repair", "correct", "outcome")


@click.command(
    epilog=examples(
        "dfgen inspect runs/demo",
        "dfgen inspect runs/demo --wrong --first 5",
        "dfgen inspect runs/demo 5f1c0e…-3",
        "dfgen inspect runs/demo --source outcome",
        "dfgen inspect runs/mine --id question-17",
        "dfgen inspect runs/demo --rejects",
        "dfgen inspect runs/demo --first 100 --json | jq '.trajectories[].hunks'",
    )
)
@click.argument("run", type=EXISTING_RUN)
@click.argument("row_id", required=False)
@click.option(
    "--first",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How many to show; with --rejects, of each reason.",
)
@click.option("--wrong", is_flag=True, help="Show wrong answers, repaired or not.")
@click.option(
    "--source",
    type=NamedChoice(SOURCES),
    help="Which masks to show.  [default: repair]",
)
@click.option("--rejects", is_flag=True, help="Show rejected rows instead, counted by reason.")
@click.option(
    "--id",
    "source_id",
    metavar="OWN_ID",
    help="Show what became of your own row of this id (prompts.columns.id).",
)
@json_option("Print JSON, without pictures.")
def command(
    run: Path,
    row_id: str | None,
    first: int,
    wrong: bool,
    source: str | None,
    rejects: bool,
    source_id: str | None,
    as_json: bool,
) -> None:
    """Look at single trajectories: wrong answer and repair, with the mask in colours.

    ROW_ID is a trajectory id, a prompt id, or the beginning of one. In a terminal the pictures are
    drawn too and $PAGER shows the rest; in a pipe or a file the marks are those of a word diff:
    [-wrong-]{+right+}.
    """
    if wrong and source is not None:
        raise click.UsageError("--wrong and --source exclude each other.")
    if source_id is not None and (row_id is not None or rejects):
        raise click.UsageError("--id says which rows to show; leave out ROW_ID and --rejects.")
    from dfgen.report import terminal
    from dfgen.report.stats import explain_gaps
    from dfgen.store.finished import open_finished

    opened = open_finished(run)
    sources = ("repair", "outcome") if wrong else (source or "repair",)
    if as_json:
        print_outcome_json(_describe(opened, row_id, first, sources, rejects, source_id))
    elif rejects:
        terminal.print_rejects(opened.run, first)
    elif source_id is not None:
        terminal.print_own(opened, source_id)
    elif row_id is not None:
        terminal.print_row(opened, row_id)
    else:
        terminal.print_examples(opened, first, sources, details=True)
    for sentence in explain_gaps(opened):
        click.echo(sentence, err=True)


def _describe(
    finished: FinishedRun,
    row_id: str | None,
    first: int,
    sources: tuple[str, ...],
    rejects: bool,
    source_id: str | None,
) -> dict[str, Any]:
    from dfgen.report.as_json import describe_rejects, describe_samples
    from dfgen.report.selecting import iter_rejects, select_first, select_own, select_row

    if rejects:
        return {"rejects": describe_rejects(iter_rejects(finished.run), first)}
    ids, refused = select_first(finished.run, first, sources), list[dict[str, Any]]()
    if source_id is not None:
        ids, refused = select_own(finished, source_id)
    elif row_id is not None:
        ids, refused = select_row(finished.run, row_id)
    return {
        "trajectories": describe_samples(finished, ids),
        "rejects": describe_rejects(refused),
    }
