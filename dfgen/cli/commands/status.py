"""`dfgen status`: how far a run is, also while other processes work on it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.options import EXISTING_RUN, examples
from dfgen.ending import Ended

if TYPE_CHECKING:
    from dfgen.status.run_status import RunStatus


@click.command(
    epilog=examples(
        "dfgen status runs/demo",
        "dfgen status runs/demo --watch",
        "dfgen status runs/demo --json | jq '.workers[0].seconds_left'",
        "dfgen status runs/demo --watch --json --every 60 >> progress.jsonl",
    )
)
@click.argument("run", type=EXISTING_RUN)
@click.option("--watch", is_flag=True, help="Look again and again, until the run is finished.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="With --watch: between two looks.  [default: 5]",
)
@json_option("Print JSON; with --watch a line each look.")
def command(run: Path, watch: bool, every: float | None, as_json: bool) -> None:
    """How far a run is: rows of each stage, rate, time left, money, who works on it.

    Works while other processes write, and writes nothing itself. Rows after a + are answers of
    unfinished shards: on disk, and not counted yet. `running` are shards that somebody has claimed;
    below each worker stand those that it has.
    """
    from dfgen.status.run_status import measure_run

    if every is not None and not watch:
        raise click.UsageError("--every is for --watch.")
    if watch:
        try:
            keep_looking(run, 5.0 if every is None else every, as_json=as_json)
        except Ended as ended:  # whoever waits for the run must not take it for finished
            raise SystemExit(ended.exit_code) from None
        except KeyboardInterrupt:  # that is how a person ends it
            pass
        return
    status = measure_run(run)
    if as_json:
        print_outcome_json(status.to_json())
    else:
        click.echo(write_page(status))


def write_page(status: RunStatus) -> str:
    """Write all that a person wants to know of a run."""
    from dfgen.status.lines import write_status

    return "\n".join(write_status(status))


def keep_looking(run: Path, every: float, *, as_json: bool) -> None:
    """Print a run's status again and again until the run is finished, or Ctrl-C comes.

    On a terminal each look takes the place of the one before.
    """
    from dfgen.status.run_status import measure_run
    from dfgen.status.worker import Sightings

    sightings = Sightings()
    drawn = not as_json and sys.stdout.isatty()
    with draw_page() if drawn else print_pages() as show:
        while True:
            status = measure_run(run, sightings)
            if as_json:
                click.echo(json.dumps(status.to_json()))
            else:
                show(write_page(status))
            if status.state == "finished":
                return
            time.sleep(every)


@contextmanager
def print_pages() -> Iterator[Callable[[str], None]]:
    """Give a function that prints a page below the one before."""
    yield lambda page: click.echo(f"{page}\n")


@contextmanager
def draw_page() -> Iterator[Callable[[str], None]]:
    """Give a function that draws a page in the place of the one before."""
    from rich.live import Live
    from rich.text import Text

    from dfgen.report.console import open_console

    with Live(console=open_console(), auto_refresh=False, vertical_overflow="visible") as live:
        yield lambda page: live.update(Text(page), refresh=True)
