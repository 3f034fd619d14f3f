"""`dfgen retokenize`: carries masks over to another tokenizer."""

from __future__ import annotations

from pathlib import Path

import click

from dfgen.cli.checks import add_no_check
from dfgen.cli.json_output import json_option
from dfgen.cli.local_path import RunPath
from dfgen.cli.options import examples
from dfgen.cli.run_command import make_masks


@click.command(
    epilog=examples(
        "dfgen retokenize runs/demo --tokenizer Qwen/Qwen3-VL-8B-Instruct --out masks-qwen3"
    )
)
@click.argument("masks", type=RunPath(exists=True))
@click.option("--tokenizer", required=True, help="Directory or Hub id of the new tokenizer.")
@click.option(
    "--out",
    "-o",
    required=True,
    type=RunPath(file_okay=False),
    help="Run directory for the new masks.",
)
@add_no_check
@json_option("Print the outcome as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="No progress, errors only.")
def command(masks: Path, tokenizer: str, out: Path, as_json: bool, quiet: bool) -> None:
    """Carry masks over to another tokenizer, exact by bytes.

    MASKS is a run, or a folder of mask files. Logprobs belong to the old tokens and become null.
    """
    from dfgen.config.load import make_retokenize_pipeline
    from dfgen.stages.mask.retokenize import find_masks

    find_masks(masks)  # before there is a run directory
    effective = make_retokenize_pipeline(masks, tokenizer)
    make_masks(effective, out, quiet=quiet, as_json=as_json)
