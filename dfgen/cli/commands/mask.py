"""`dfgen mask`: makes the masks of a run, or of pairs of texts that people already have."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.checks import add_no_check
from dfgen.cli.local_path import LocalPath
from dfgen.cli.options import examples, read_pipeline
from dfgen.cli.run_command import make_masks, work


@click.command(
    epilog=examples(
        "dfgen mask my.yaml --out runs/a",
        "dfgen mask --pairs pairs.jsonl --tokenizer Qwen/Qwen2.5-VL-7B-Instruct --out masks",
        "dfgen mask --pairs rlhfv.parquet --map wrong=rejected --map right=chosen --out masks",
    )
)
@click.argument("pipeline", required=False, type=LocalPath(dir_okay=False))
@click.option(
    "--out",
    "-o",
    required=True,
    type=LocalPath(file_okay=False),
    help="Run directory; with --pairs, where the masks are written.",
)
@click.option("--pairs", type=LocalPath(), help="JSONL or Parquet of pairs.")
@click.option(
    "--tokenizer",
    help="With --pairs, required: directory or Hub id of the policy's tokenizer.",
)
@click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="With --pairs: column of wrong, right, id, completion_ids, question or images.",
)
@click.option("--set", "settings", multiple=True, metavar="A.B=VALUE", help="Override a field.")
@click.option("--limit", type=click.IntRange(min=1), help="Use only the first N rows.")
@click.option("--workers", default=0, help="With --pairs: processes; 0 is one per core.")
@add_no_check
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="No progress, errors only.")
def command(
    pipeline: Path | None,
    out: Path,
    pairs: Path | None,
    tokenizer: str | None,
    mapping: tuple[str, ...],
    settings: tuple[str, ...],
    limit: int | None,
    workers: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make the masks of a run, or of (wrong, corrected) pairs you already have.

    PIPELINE is needed for a run. With --pairs each row of FILE is one pair; rows keep their id, and
    rows that cannot be used become rejects with a reason.
    """
    if (pipeline is None) == (pairs is None):
        raise click.UsageError("Give either PIPELINE, for a run, or --pairs FILE.")
    if pipeline is not None:
        given = {"--tokenizer": tokenizer, "--map": mapping, "--workers": workers}
        for option, value in given.items():
            if value:
                raise click.UsageError(
                    f"{option} is for --pairs; a run has its own (see `dfgen config show`)."
                )
        work(read_pipeline(pipeline, settings, limit), out, ("mask",), quiet=quiet, as_json=as_json)
        return
    if tokenizer is None:
        raise click.UsageError(
            "--pairs needs --tokenizer: the policy's, as a directory or Hub id. Masks are made in "
            "its tokens."
        )
    from dfgen.config.load import make_pairs_pipeline

    assert pairs is not None
    effective = make_pairs_pipeline(pairs, tokenizer, mapping, limit, settings, workers)
    make_masks(effective, out, quiet=quiet, as_json=as_json)
