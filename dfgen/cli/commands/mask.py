"""`dfgen mask`: makes the masks of a run, or of pairs of texts that people already have."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.checks import add_no_check
from dfgen.cli.json_output import json_option
from dfgen.cli.local_path import LocalPath, RunPath
from dfgen.cli.options import (
    SOURCE,
    add_all,
    choose_root,
    examples,
    read_order,
    read_pipeline,
    redo_options,
    run_options,
)
from dfgen.cli.run_command import make_masks, work
from dfgen.cli.sharing import add_sharing


@click.command(
    epilog=examples(
        "dfgen mask runs/a",
        "dfgen mask my.yaml --out runs/a",
        "dfgen mask --pairs pairs.jsonl --tokenizer Qwen/Qwen2.5-VL-7B-Instruct --out masks",
        "dfgen mask --pairs rlhfv.parquet --map wrong=rejected --map right=chosen --out masks",
    )
)
@click.argument("source", metavar=f"[{SOURCE}]", required=False, type=RunPath())
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
@add_all(run_options("Use only the first N rows.") + redo_options())
@click.option("--workers", default=0, help="With --pairs: processes; 0 is one per core.")
@add_no_check
@add_sharing
@json_option("Print the outcome as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="No progress, errors only.")
def command(
    source: Path | None,
    out: Path | None,
    file: Path | None,
    pairs: Path | None,
    tokenizer: str | None,
    mapping: tuple[str, ...],
    settings: tuple[str, ...],
    limit: int | None,
    workers: int,
    redone: tuple[str, ...],
    yes: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make the masks of a run, or of (wrong, corrected) pairs you already have.

    A run is named by its directory, or by PIPELINE --out RUN. With --pairs each row of FILE is one
    pair, and --out says where the run of their masks is; rows keep their id, and rows that cannot
    be used become rejects with a reason.
    """
    from dfgen.config.load import PARQUET_ENDINGS, make_pairs_pipeline

    if (source is None) == (pairs is None):
        raise click.UsageError("Give either a run (RUN, or PIPELINE --out RUN) or --pairs FILE.")
    if source is not None:
        given = {"--tokenizer": tokenizer, "--map": mapping, "--workers": workers}
        for option, value in given.items():
            if value:
                raise click.UsageError(
                    f"{option} is for --pairs; a run has its own (see `dfgen config show`)."
                )
        if source.suffix in (".jsonl", ".csv", *PARQUET_ENDINGS):
            raise click.UsageError(f"{source} is no pipeline file; for pairs: --pairs {source}.")
        root = choose_root(source, out, file)
        assert root is not None
        pipeline = read_pipeline(source, settings, limit, file)
        redo = read_order(redone, yes)
        if pipeline.kind in ("pairs", "retokenized"):
            make_masks(pipeline, root, quiet=quiet, as_json=as_json, redo=redo)
        else:
            work(pipeline, root, ("mask",), quiet=quiet, as_json=as_json, redo=redo)
        return
    assert pairs is not None
    if file is not None:
        raise click.UsageError("--pairs has no pipeline file; --set changes single settings.")
    if out is None:
        raise click.UsageError("--pairs needs --out: the run directory for the masks.")
    if tokenizer is None:
        raise click.UsageError(
            "--pairs needs --tokenizer: the policy's, as a directory or Hub id. Masks are made in "
            "its tokens."
        )

    effective = make_pairs_pipeline(pairs, tokenizer, mapping, limit, settings, workers)
    redo = read_order(redone, yes)
    make_masks(effective, out, quiet=quiet, as_json=as_json, redo=redo)
