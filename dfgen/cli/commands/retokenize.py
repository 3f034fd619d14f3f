"""`dfgen retokenize`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dfgen.cli.options import examples


@click.command(
    epilog=examples(
        "dfgen retokenize runs/demo --tokenizer Qwen/Qwen3-VL-8B-Instruct --out masks-qwen3"
    )
)
@click.argument("masks", type=click.Path(exists=True, path_type=Path))
@click.option("--tokenizer", required=True, help="Directory or Hub id of the new tokenizer.")
@click.option(
    "--out",
    "-o",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the new mask files.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="No progress, errors only.")
def command(masks: Path, tokenizer: str, out: Path, as_json: bool, quiet: bool) -> None:
    """Carry masks over to another tokenizer, exact by bytes.

    MASKS is a run, or a folder of mask files. Logprobs belong to the old tokens and become null.
    """
    from dfgen.cli.progress import make_progress
    from dfgen.engines.loading import resolve_model
    from dfgen.stages.mask.retokenize import run_retokenize
    from dfgen.tokens.loading import load_tokenizer

    with make_progress(quiet) as progress:
        counts = run_retokenize(masks, out, load_tokenizer(resolve_model(tokenizer)), progress)
    if as_json:
        click.echo(json.dumps({"out": str(out), "counts": counts}))
    else:
        click.echo(f"{out}: {counts['output']:,} masks, {counts['rejects']:,} rejects")
