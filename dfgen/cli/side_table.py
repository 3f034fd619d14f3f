"""Says what a command that writes a side table would do, and where its outcome is then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dfgen.cli.json_output import print_outcome_json
from dfgen.errors import InvalidDataError

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

    Raises:
        InvalidDataError: a file that the stages wrote is damaged.
    """
    from dfgen.cli.run_command import drive
    from dfgen.store.counts import count_rows

    stages = (stage, "mask") if with_masks else (stage,)
    run = drive(pipeline, root, stages, quiet=quiet, redo=redo)
    refuse_damage(run, stages)
    return run, count_rows(run)[stage]


def refuse_damage(run: Run, stages: tuple[Stage, ...]) -> None:
    """Look at what the stages have left, so that nobody is told that damaged files hold it.

    A read of all those files, which is paid only where such a thing is said. Other commands leave
    it to `dfgen validate`.

    Raises:
        InvalidDataError: names every damaged file and how it is made anew.
    """
    from dfgen.validate.files import advise_repair, find_damage

    damage = find_damage(run, stages)
    if damage:
        listed = "\n".join(f"  {each}" for each in damage)
        raise InvalidDataError(
            f"the stages are done, but {len(damage)} of their files are damaged:\n{listed}",
            where=str(run.root),
            hint=advise_repair(run, damage),
        )


def print_json(run: Run, counts: dict[str, int], *, with_masks: bool, **facts: Any) -> None:
    """Print the outcome of a side stage as JSON."""
    shown = {name: counts[name] for name in ("output", "rejects")}
    outcome = {"run": str(run.root), "dry_run": False, "counts": shown, **facts}
    print_outcome_json({**outcome, "masks": with_masks})


def print_estimate(run: Run, figures: dict[str, Any], *, as_json: bool) -> None:
    """Print what `--dry-run` counted."""
    if as_json:
        print_outcome_json({"run": str(run.root), "dry_run": True, "estimate": figures})
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
