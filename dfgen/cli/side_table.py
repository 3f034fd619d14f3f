"""Says what a command that writes a side table would do, and where its outcome is then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pathlib import Path

    from dfgen.cli.options import RedoWish
    from dfgen.config.pipeline import Pipeline
    from dfgen.store.layout import Stage
    from dfgen.store.run import Run


def fill_table(
    root: Path,
    pipeline: Pipeline,
    stage: Stage,
    redo: RedoWish | None,
    *,
    with_masks: bool,
    quiet: bool,
) -> tuple[Run, dict[str, int]]:
    """Run a side stage, and the masks' after it; leaves by SystemExit when a stop was asked for.

    Args:
        with_masks: whether masks that are there take up what it writes.

    Returns:
        The run, and the numbers of rows of the side stage.
    """
    from dfgen.cli.run_command import drive
    from dfgen.store.counts import count_rows

    run = drive(pipeline, root, (stage, "mask") if with_masks else (stage,), quiet=quiet, redo=redo)
    return run, count_rows(run)[stage]


def print_json(run: Run, counts: dict[str, int], *, with_masks: bool, **facts: Any) -> None:
    """Print the outcome of a side stage as JSON."""
    shown = {name: counts[name] for name in ("output", "rejects")}
    outcome = {"run": str(run.root), "dry_run": False, "counts": shown, **facts}
    click.echo(json.dumps({**outcome, "masks": with_masks}))


def print_estimate(run: Run, figures: dict[str, Any], *, as_json: bool) -> None:
    """Print what `--dry-run` counted."""
    if as_json:
        click.echo(json.dumps({"run": str(run.root), "dry_run": True, "estimate": figures}))
        return
    width = max(map(len, figures)) + 2
    for name, value in figures.items():
        click.echo(f"{name.replace('_', ' '):<{width}}{value:,}")
    click.echo("Nothing was written.")


def describe_masks(run: Run, what: str, *, with_masks: bool) -> str:
    """Say whether the masks hold what was computed, and if not, how they get it."""
    if with_masks:
        return f"The masks hold the {what}."
    if run.table("masks").shards():
        return (
            f"The masks are from before; the same command without --no-masks, or `dfgen mask`, "
            f"takes the {what} in."
        )
    return (
        f"There are no masks yet; `dfgen mask` will take the {what} in, if no answer or repair "
        "changes before."
    )
