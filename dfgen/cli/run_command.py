"""Does what `run`, `sample`, `repair`, `mask` and `import` share: open, lock, work, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dfgen.cli.checks import refuse_problems
from dfgen.cli.json_output import note_error, print_outcome_json
from dfgen.cli.progress import make_progress
from dfgen.cli.sharing import read_sharing
from dfgen.ending import INTERRUPTED
from dfgen.errors import DfgenError, UnusableRowsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dfgen.cli.options import RedoWish
    from dfgen.cli.sharing import Sharing
    from dfgen.config.pipeline import Pipeline
    from dfgen.stages.session import Session
    from dfgen.store.layout import Stage
    from dfgen.store.run import Run

ALL_STAGES: tuple[Stage, ...] = ("prompts", "sample", "repair", "score", "value", "mask")
"""In the order of the work."""


def drive(
    pipeline: Pipeline,
    out: Path,
    stages: tuple[Stage, ...],
    *,
    quiet: bool,
    redo: RedoWish | None = None,
    before: Callable[[Session], None] | None = None,
    after: Callable[[Session], bool] | None = None,
    checked: tuple[Stage, ...] | None = None,
    unasked: tuple[Stage, ...] = (),
) -> Run:
    """Run stages on a run directory; leaves by SystemExit when a stop was asked for.

    Args:
        pipeline: the effective one.
        out: the run directory.
        stages: in order.
        quiet: no progress.
        redo: what is set aside first, to be made anew.
        before: work on the locked run before the stages.
        after: further work on the locked run; returns False when a stop was asked for.
        checked: what is looked at before the start; None: the stages.
        unasked: stages whose engines may have nothing to do: they are looked at when they have.

    Raises:
        ConfigError: something stands in the way (`refuse_problems`, `refuse_lanes`); nothing was
            begun.
    """
    sharing = read_sharing()
    if sharing is not None and (redo or before or after):
        raise click.UsageError(
            "--redo, --rejudge, --retry, --resubmit, --write and --read are for a process that has "
            "the run alone: give them "
            "without --shared and --shard first."
        )
    if sharing is not None:
        from dfgen.stages.lanes import refuse_lanes

        refuse_lanes(pipeline, stages)
    redone = [] if redo is None else [each.stage for each in redo.wanted]
    refuse_problems(pipeline, stages if checked is None else checked, out, redone, unasked)
    from dfgen.runners.local import run_stages
    from dfgen.stages.progress import NotedProgress
    from dfgen.stages.session import Session
    from dfgen.stages.stopping import StopSignal
    from dfgen.store.activity import ActivityFile
    from dfgen.store.dropping import complete_dropping
    from dfgen.store.run import Run

    if sharing is not None:
        return share(pipeline, out, stages, sharing, quiet=quiet)
    run = Run.open_or_create(out, pipeline)
    with (
        run.lock(),
        make_progress(quiet) as drawn,
        NotedProgress(drawn, ActivityFile(out)) as progress,
    ):
        for notice in run.notices:
            progress.tell(notice)
        session = Session(run, pipeline, progress, StopSignal(announce_stop))
        if redo is not None:
            set_aside(session, redo, stages)
        if before is not None:
            for line in complete_dropping(run):
                progress.tell(line)
            before(session)
        complete = run_stages(session, stages) and (after is None or after(session))
    if session.paused:
        click.echo(session.paused, err=True)
    elif not complete:
        stop(f"Everything finished is in {out}; the same command goes on from there.")
    elif not (progress.worked or quiet or after):
        click.echo("Nothing was left to do: all of this was done before.", err=True)
    return run


def share(
    pipeline: Pipeline,
    out: Path,
    stages: tuple[Stage, ...],
    sharing: Sharing,
    *,
    quiet: bool,
) -> Run:
    """Run stages together with other processes; leaves by SystemExit when a stop was asked for.

    Args:
        pipeline, out, stages, quiet: see `drive`.
        sharing: how.
    """
    from dfgen.runners.shared import run_together
    from dfgen.stages.progress import NotedProgress
    from dfgen.stages.session import Session
    from dfgen.stages.stopping import StopSignal
    from dfgen.store.shared.folder import refuse_sharing
    from dfgen.store.shared.membership import NotedActivity
    from dfgen.store.shared.run import SharedRun

    refuse_sharing(out)
    run = SharedRun.open_or_create(out, pipeline)
    with (
        run.join(sharing.lease_s),
        make_progress(quiet) as drawn,
        NotedProgress(drawn, NotedActivity(run.membership), shared=True) as progress,
    ):
        session = Session(run, pipeline, progress, StopSignal(announce_stop))
        complete = run_together(session, stages, sharing.part)
    if not complete:
        stop(f"Everything finished is in {out}; the same command goes on from there.")
    return run


def announce_stop(loading: str) -> None:
    """Say that a stop was heard, and what is still done.

    Args:
        loading: what becomes of the model that is being loaded; empty: none is.
    """
    rest = f"loading the model is {loading}" if loading else "what is in flight is finished first"
    click.echo(f"\nStopping: {rest}. Once more ends at once.", err=True)


def stop(advice: str) -> NoReturn:
    """End a command that was asked to stop: says so, and leaves by SystemExit."""
    note_error(DfgenError("stopped, as it was asked to.", hint=advice))
    click.echo(f"Stopped. {advice}", err=True)
    raise SystemExit(INTERRUPTED)


def set_aside(session: Session, wish: RedoWish, stages: tuple[Stage, ...]) -> None:
    """Set aside what `--redo` names and say what that was.

    Raises:
        click.UsageError: the command does not make it.
        DfgenError: see `dfgen.stages.redo.redo`.
    """
    from dfgen.runners.local import list_made
    from dfgen.stages.redo import check_source, redo

    run = session.run
    made = list_made(run, stages)
    others = [each.stage for each in wish.wanted if each.stage not in made]
    if others:
        raise click.UsageError(
            f"this command does not make {others[0]}: dfgen run {run.root} --redo {others[0]}"
        )
    check_source(run, session.pipeline, wish.wanted)
    for line in redo(run, wish.wanted, agreed=wish.agreed):
        click.echo(line, err=True)


def work(
    pipeline: Pipeline,
    out: Path,
    stages: tuple[Stage, ...],
    *,
    quiet: bool,
    as_json: bool,
    with_groups: bool = False,
    redo: RedoWish | None = None,
    before: Callable[[Session], None] | None = None,
    after: Callable[[Session], bool] | None = None,
    unasked: tuple[Stage, ...] = (),
) -> None:
    """Run stages and print what came of them; leaves by SystemExit when that is not success.

    Args:
        pipeline, out, stages, quiet, redo, before, after, unasked: see `drive`; quiet prints errors
            only.
        as_json: print JSON on stdout.
        with_groups: show what the sampled groups are good for, too.
    """
    from dfgen.store.run import Run

    try:
        run = drive(
            pipeline,
            out,
            stages,
            quiet=quiet,
            redo=redo,
            before=before,
            after=after,
            unasked=unasked,
        )
    except UnusableRowsError:
        run = Run.open_or_create(out, None)
        print_outcome(run, quiet=quiet, as_json=as_json, with_groups=with_groups)
        raise
    print_outcome(run, quiet=quiet, as_json=as_json, with_groups=with_groups)


def print_outcome(run: Run, *, quiet: bool, as_json: bool, with_groups: bool) -> None:
    """Print what is in a run after a command; the arguments are those of `work`."""
    from dfgen.report.stats import measure_groups
    from dfgen.report.stats_table import print_groups
    from dfgen.report.terminal import print_summary
    from dfgen.store.counts import count_rows

    numbers = count_rows(run)
    groups = measure_groups(run) if with_groups else None
    if as_json:
        outcome: dict[str, Any] = {"run": str(run.root), "counts": numbers}
        print_outcome_json(outcome if groups is None else {**outcome, "groups": groups})
    elif not quiet:
        print_summary(run, numbers)
        if groups is not None:
            print_groups(groups)


def make_masks(
    pipeline: Pipeline, out: Path, *, quiet: bool, as_json: bool, redo: RedoWish | None = None
) -> None:
    """Make masks of rows that need no other stage, and say how many there are."""
    from dfgen.config.pipeline import name_tokenizer
    from dfgen.store.counts import count_rows
    from dfgen.tokens.loading import load_tokenizer

    load_tokenizer(*name_tokenizer(pipeline))  # a wrong name must leave no run directory behind
    run = drive(pipeline, out, ("prompts",), quiet=quiet, redo=redo)
    numbers = count_rows(run)
    first = numbers.get("prompts", numbers["mask"])
    counts = {
        "input": first["input"],
        "output": numbers["mask"]["output"],
        "rejects": sum(stage["rejects"] for stage in numbers.values()),
    }
    if as_json:
        print_outcome_json({"out": str(out), "counts": counts})
    else:
        click.echo(f"{out}: {counts['output']:,} masks, {counts['rejects']:,} rejects")
