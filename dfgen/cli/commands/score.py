"""`dfgen score`: has the policy itself score the answers of a run and their repairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfgen.cli.options import examples, read_order, section_options
from dfgen.cli.side_table import describe_masks, fill_table, print_estimate, print_json

if TYPE_CHECKING:
    from dfgen.store.run import Run


@click.command(
    epilog=examples(
        "dfgen score runs/a --dry-run",
        "dfgen score runs/a",
        "dfgen score runs/a --set score.visual=true",
        "dfgen score runs/imported --pipeline my.yaml --json",
    ),
)
@section_options("score", dry_run="Count what would be read and write nothing.")
@click.option("--no-masks", is_flag=True, help="Leave the masks as they are for now.")
def command(
    run: Path,
    pipeline: Path | None,
    settings: tuple[str, ...],
    no_masks: bool,
    redone: tuple[str, ...],
    yes: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Have the policy score the answers of a run and their repairs, each read once.

    Every repair gets the logprobs that trainers need, and answers are scored again: their largest
    difference from the stored logprobs shows whether policy, processor, template and ids fit
    together. Where they do not, the command stops early and says what to look at. Masks that are
    there are made anew with the scores in them. The same command continues after an interruption.
    """
    from dfgen.stages.score.settings import choose_settings, estimate_scores
    from dfgen.stages.session import Session
    from dfgen.store.run import Run

    opened = Run.open_or_create(run, None)
    effective = choose_settings(opened, pipeline, settings)
    if dry_run:
        print_estimate(opened, estimate_scores(Session(opened, effective)), as_json=as_json)
        return
    with_masks = not no_masks and bool(opened.table("masks").shards())
    redo = read_order(redone, yes)
    scored, counts = fill_table(run, effective, "score", redo, with_masks=with_masks, quiet=quiet)
    gap = scored.manifest.get_stage("score").facts.get("gap", {})
    if as_json:
        print_json(scored, counts, with_masks=with_masks, gap=gap)
    elif not quiet:
        for line in describe(scored, counts, gap, with_masks=with_masks):
            click.echo(line)


def describe(
    run: Run, counts: dict[str, int], gap: dict[str, Any], *, with_masks: bool
) -> list[str]:
    """Say what was scored, how well it fits, and where the scores are now."""
    lines = [f"{counts['output']:,} answers scored, {counts['rejects']:,} rejects."]
    if gap.get("compared"):
        lines.append(
            f"Largest difference from the stored logprobs: {gap['largest']:.2g} nats, in "
            f"{gap['at']}; median of {gap['compared']:,} answers {gap['median']:.2g}."
        )
    else:
        lines.append(
            "No answer has stored logprobs, so nothing shows whether this policy drew them."
        )
    return [*lines, describe_masks(run, "scores", with_masks=with_masks)]
