"""`dfgen sample`: draws and grades answers, and stops before the repairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfgen.cli.dry_run import rehearse
from dfgen.cli.names import NamedChoice
from dfgen.cli.options import examples, pipeline_options
from dfgen.cli.run_command import work

if TYPE_CHECKING:
    from dfgen.cli.options import RedoWish
    from dfgen.config.pipeline import Pipeline
    from dfgen.stages.session import Session


@click.command(
    epilog=examples(
        "dfgen sample my.yaml --out runs/a",
        "dfgen sample my.yaml --out runs/a --limit 100 --json",
        "dfgen sample my.yaml --out runs/a --set sample.num_samples=16",
        "dfgen sample my.yaml --out runs/a --retry length --retry-max-tokens 4096",
    ),
)
@pipeline_options
@click.option(
    "--retry",
    type=NamedChoice(["length"]),
    help="Then draw the truncated samples again with a larger limit.",
)
@click.option(
    "--retry-max-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="That limit.  [default: twice sample.max_tokens]",
)
def command(
    pipeline: Pipeline,
    out: Path,
    redo: RedoWish | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    retry: str | None,
    retry_max_tokens: int | None,
) -> None:
    """Draw and grade the policy's answers: the first half of `dfgen run`.

    Token ids and logprobs are kept exactly as sampled. The same command continues, and a larger
    sample.num_samples adds to the groups there are. Ends with what the groups are good for: pass
    rates, all right, all wrong, mixed, truncated.
    """
    if retry_max_tokens is not None and retry is None:
        raise click.UsageError("--retry-max-tokens needs --retry length.")
    if dry_run:
        rehearse(pipeline, ("prompts", "sample"), as_json=as_json, run=out)
        return

    def draw_again(session: Session) -> bool:
        from dfgen.stages.sample.retry import retry_truncated

        return retry_truncated(session, retry_max_tokens or 2 * pipeline.sample.max_tokens)

    work(
        pipeline,
        out,
        ("prompts", "sample"),
        quiet=quiet,
        as_json=as_json,
        with_groups=True,
        redo=redo,
        after=draw_again if retry else None,
    )
