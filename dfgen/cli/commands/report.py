"""`dfgen report`: writes the HTML page of a run."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.json_output import json_option, print_outcome_json
from dfgen.cli.local_path import LocalPath
from dfgen.cli.options import EXISTING_RUN, curves_option, examples


@click.command(
    epilog=examples(
        "dfgen report runs/demo",
        "dfgen report runs/demo --out demo.html --limit 1000",
        "dfgen report runs/demo --curves curves.parquet",
        "dfgen report runs/demo --json | jq -r .path",
    )
)
@click.argument("run", type=EXISTING_RUN)
@click.option(
    "--out",
    "-o",
    type=LocalPath(dir_okay=False),
    help="HTML file. Default: report.html in the run directory; of a run in a bucket, here.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Trajectories in it at most: 7 of 10 repaired ones, spread evenly over the run.",
)
@curves_option
@json_option("Print path and size as JSON.")
def command(run: Path, out: Path | None, limit: int, curves: Path | None, as_json: bool) -> None:
    """Write a page to look at: plots, and every trajectory beside its picture and repair.

    One HTML file without any outside reference: open it from disk, mail it, attach it. Figures and
    plots are of the whole run; the trajectories in it are a choice of --limit.
    """
    from dfgen.report.curves import read_curves
    from dfgen.report.html import write_report
    from dfgen.report.stats import explain_gaps
    from dfgen.sizes import write_size
    from dfgen.store.finished import open_finished

    shown = None if curves is None else read_curves(curves)
    finished = open_finished(run)
    written = write_report(finished, out or choose_page(run), limit, shown)
    if as_json:
        facts = {"path": str(written.path), "bytes": written.bytes}
        print_outcome_json({**facts, "shown": written.shown, "total": written.total})
        return
    click.echo(
        f"{written.shown:,} of {written.total:,} trajectories, {write_size(written.bytes)}",
        err=True,
    )
    for sentence in explain_gaps(finished):
        click.echo(sentence, err=True)
    click.echo(written.path)


def choose_page(run: Path) -> Path:
    """Choose where the page of a run goes when nobody says so."""
    from dfgen.store.mounts import find_mount

    return Path("report.html") if find_mount(run) else run / "report.html"
