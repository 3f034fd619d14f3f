"""Says what a command that writes a side table would do, and where its outcome is then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dfgen.store.run import Run


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
