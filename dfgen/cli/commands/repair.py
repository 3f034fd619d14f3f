"""`dfgen repair`: has the wrong answers of a run repaired."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfgen.cli.dry_run import rehearse
from dfgen.cli.options import examples, lane_options, pipeline_options, spending_options
from dfgen.cli.run_command import work
from dfgen.cli.side_table import print_estimate

if TYPE_CHECKING:
    from dfgen.cli.options import RedoWish
    from dfgen.config.pipeline import Pipeline
    from dfgen.engines.openai.batch.exchange import Exchange
    from dfgen.stages.session import Session


@click.command(
    epilog=examples(
        "dfgen repair my.yaml --out runs/a",
        "dfgen repair my.yaml --out runs/a --dry-run",
        "dfgen repair my.yaml --out runs/a --max-cost 20",
        "dfgen repair my.yaml --out runs/a --set repair.protocol=hunks",
        "dfgen repair runs/a --lane batch",
        "dfgen repair runs/a --lane files --write requests",
        "dfgen repair runs/a --lane files --read results",
        "dfgen repair runs/a --rejudge --set repair.max_edit_ratio=0.5",
    ),
)
@lane_options
@spending_options
@pipeline_options
@click.option(
    "--rejudge",
    is_flag=True,
    help="Judge the stored answers of the repairer anew, and ask only where none of them will do.",
)
def command(
    pipeline: Pipeline,
    out: Path,
    redo: RedoWish | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    rejudge: bool,
    write: Path | None,
    read: tuple[Path, ...],
    resubmit: bool,
) -> None:
    """Repair the wrong answers of a run whose sampling is done.

    Every attempt is on disk when it is finished and is never paid for twice. After `dfgen regrade`,
    or with other settings of what counts as a repair (max_edit_ratio and other budgets, allow,
    necessity, max_attempts), --rejudge makes use of the answers there are: they are judged anew
    without a request, and the repairer is asked where none passes and attempts are left. It is
    loaded, or its server reached, when there is something to ask.

    --lane batch hands requests over in files that the provider answers within a day, at a part of
    the price. Ctrl-C leaves the batches running, and the same command finds them. --lane files
    writes the files for somebody else (`vllm run-batch`, another site) and reads what they answer,
    in any order, in part, twice; the next attempts are written with the next --write.
    """
    from dfgen.engines.openai.batch.exchange import Exchange

    if dry_run and rejudge:
        preview(out, as_json=as_json)
        return
    if dry_run:
        # A run whose answers are not all there yet says what they cost, too.
        stages = ("prompts", "sample", "repair")
        rehearse(pipeline, stages, as_json=as_json, run=out, resubmit=resubmit)
        return

    def judge_anew(session: Session) -> None:
        from dfgen.stages.repair.rejudge import begin_rejudge
        from dfgen.stages.repair.stage import RepairStage

        count = begin_rejudge(session, RepairStage().list_facts(session))
        if not quiet:
            click.echo(f"Judging {count:,} stored answers of the repairer anew.", err=True)

    exchange = Exchange(write, read) if write or read else None

    def prepare(session: Session) -> None:
        session.exchange = exchange
        if resubmit:
            forget_out(session, quiet=quiet)
        if rejudge:
            judge_anew(session)

    work(
        pipeline,
        out,
        ("repair",),
        quiet=quiet,
        as_json=as_json,
        redo=redo,
        # Who shares the run may prepare nothing.
        before=prepare if exchange is not None or resubmit or rejudge else None,
        unasked=("repair",) if rejudge else (),
    )
    if exchange is not None and not quiet:
        tell_files(exchange, out)
    if not quiet and not as_json:
        print_outcome(out)


def forget_out(session: Session, *, quiet: bool) -> None:
    """Give up requests that nobody will hear of, as the user has agreed to."""
    from dfgen.config.engine import find_lane
    from dfgen.stages.lanes import give_up

    lanes = [find_lane(each) for each in session.pipeline.repair.repairers]
    count = give_up(session.run, "repair", lanes)
    if not quiet:
        click.echo(f"{count:,} requests that were out are asked again.", err=True)


def tell_files(exchange: Exchange, out: Path) -> None:
    """Say which files were written, what was of no use in those that were read, and what next."""
    for path, rows in exchange.written:
        click.echo(f"{path}: {rows:,} requests to answer", err=True)
    command = f"dfgen repair {shlex.quote(str(out))} --lane files"
    if exchange.written:
        click.echo(f"When they are answered: {command} --read FOLDER", err=True)
    elif exchange.write is None and exchange.read:
        click.echo(
            f"If answers are still wanted: {command} --write FOLDER writes what is to be asked "
            "next.",
            err=True,
        )
    if exchange.unread:
        lines = "1 line is no result" if exchange.unread == 1 else f"{exchange.unread:,} lines are"
        lines += "" if exchange.unread == 1 else " no results"
        click.echo(f"Of the files read, {lines}, such as {exchange.unread_at}.", err=True)


def preview(out: Path, *, as_json: bool) -> None:
    """Say how many answers there are to judge; what is asked after that, only judging can tell."""
    from dfgen.stages.repair.spending import SpentCount
    from dfgen.store.run import Run

    run = Run.open_or_create(out, None)
    requests = SpentCount().count(run).requests
    print_estimate(run, {"stored_answers_to_judge": requests}, as_json=as_json)
    if not as_json:
        click.echo(
            "Judging them needs no request. Where none of them passes and attempts are left "
            "(repair.max_attempts), the repairer is asked anew; how often, only judging can tell."
        )


def print_outcome(out: Path) -> None:
    """Print the table of what was accepted, refused and paid."""
    from dfgen.report.stats import measure_repairs
    from dfgen.report.stats_table import print_numbers
    from dfgen.store.finished import open_finished

    session = open_finished(out)
    if session.run.table("repairs").shards():
        print_numbers({"repairs": measure_repairs(session.run, session.tokenizer)})
