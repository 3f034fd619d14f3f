"""`dfgen regrade`: grades the answers of a run anew, as another grader or a newer dfgen does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfgen.cli.json_output import print_outcome_json
from dfgen.cli.options import examples, section_options

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline
    from dfgen.stages.session import Session
    from dfgen.store.run import Run


@click.command(
    epilog=examples(
        "dfgen regrade runs/a --dry-run",
        "dfgen regrade runs/a --set grade.relative_tolerance=0.01",
        "dfgen regrade runs/a --pipeline my.yaml --json",
    ),
)
@section_options("grade", dry_run="Show what would change and write nothing.", redo=False)
def command(
    run: Path,
    pipeline: Path | None,
    settings: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Grade the answers of a run anew, with the run's own settings or with others.

    Nothing is drawn again. Accepted repairs stay where the answer is still wrong and the repair
    still right; the others are taken back, and `dfgen repair` and `dfgen mask` find what is left to
    do. Values (`dfgen value`) go to history/ in the run, because the texts that they come from are
    not kept. The settings become the run's own. The same command continues after an interruption.
    """
    from dfgen.stages.regrade.settings import choose_settings, list_changes
    from dfgen.store.run import Run

    opened = Run.open_or_create(run, None)
    effective = choose_settings(opened, pipeline, settings)
    changed = list_changes(opened, effective)
    changes = preview(opened, effective, quiet) if dry_run else apply(run, effective, quiet)
    if as_json:
        outcome = {"run": str(run), "dry_run": dry_run, "settings": changed, "changes": changes}
        print_outcome_json(outcome)
    elif not quiet:
        show(run, changed, changes, dry_run=dry_run)


def preview(run: Run, pipeline: Pipeline, quiet: bool) -> dict[str, Any]:
    """Grade and write nothing."""
    from dfgen.cli.progress import make_progress
    from dfgen.cli.run_command import stop
    from dfgen.stages.regrade.stage import preview_regrade
    from dfgen.stages.session import Session

    with make_progress(quiet) as progress:
        changes = preview_regrade(Session(run, pipeline, progress))
    if changes is None:
        stop("Nothing was written.")
    return changes


def apply(root: Path, pipeline: Pipeline, quiet: bool) -> dict[str, Any]:
    """Grade and write; leaves by SystemExit when a stop was asked for."""
    from dfgen.check.scope import REGRADE
    from dfgen.cli.run_command import drive
    from dfgen.stages.regrade.stage import regrade
    from dfgen.stages.rejected import refuse_excess, refuse_failed_grading

    outcome: dict[str, Any] = {}

    def grade_again(session: Session) -> bool:
        changes = regrade(session)
        outcome.update(changes or {})
        return changes is not None

    run = drive(pipeline, root, (), quiet=quiet, after=grade_again, checked=(REGRADE,))
    refuse_failed_grading(run)
    for stage in run.stages:
        refuse_excess(run, stage, pipeline.max_reject_ratio)
    return outcome


def show(run: Path, settings: list[str], changes: dict[str, Any], *, dry_run: bool) -> None:
    """Print what has changed, or would."""
    from dfgen.report.stats_table import print_numbers

    for line in settings:
        click.echo(line)
    repairs, graders = changes["repairs"], changes["by_grader"]
    plain = {name: n for name, n in changes.items() if not isinstance(n, dict)}
    values = {"values": changes["values"]} if "values" in changes else {}
    print_numbers({"answers": plain, **graders, "repairs": repairs, **values})
    if dry_run:
        click.echo("Nothing was written.")
    else:
        click.echo(f"`dfgen run {run}` repairs and masks what this has opened.")
