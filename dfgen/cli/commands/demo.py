"""`dfgen demo`: runs every stage on drawn pictures with two small models, without a network."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.checks import add_no_check
from dfgen.cli.json_output import json_option
from dfgen.cli.local_path import LocalPath
from dfgen.cli.options import examples
from dfgen.cli.run_command import work


@click.command(
    epilog=examples(
        "dfgen demo", "dfgen demo --out runs/small --count 40", "dfgen inspect runs/demo"
    )
)
@click.option(
    "--out",
    "-o",
    default="runs/demo",
    show_default=True,
    type=LocalPath(file_okay=False),
    help="Run directory.",
)
@click.option("--count", type=click.IntRange(min=1), help="Number of pictures.")
@add_no_check
@json_option("Print the outcome as JSON.")
def command(out: Path, count: int | None, as_json: bool) -> None:
    """Run the whole job on drawn pictures with two small models: no server, download or key.

    A policy of a million parameters answers counting questions, a learned editor repairs its wrong
    answers, and the masks of the differences are compared with the known truth.
    """
    from dfgen.config.load import load_pipeline
    from dfgen.demo import PIPELINE

    settings = () if count is None else (f"prompts.count={count}",)
    pipeline = load_pipeline(PIPELINE, settings)
    work(pipeline, out, ("prompts", "sample", "repair", "mask"), quiet=False, as_json=as_json)
    if as_json:
        return
    from dfgen.report.terminal import print_examples
    from dfgen.store.finished import open_finished

    print_examples(open_finished(out), 3, one_per_prompt=True)
    click.echo(f"\nThe data set: {out}/masks/*.parquet   (datasets.load_dataset reads it as it is)")
    click.echo(f"Next: dfgen report {out}   |   dfgen inspect {out}   |   dfgen stats {out}")
