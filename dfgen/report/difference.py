"""Prints what `dfgen diff` found: two texts in colours, and every edit between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from dfgen.report.console import open_console
from dfgen.report.marking import NEW_STYLE, STYLES
from dfgen.report.terminal import render_side

if TYPE_CHECKING:
    from dfgen.diff.pair import PairDiff


def describe_difference(diff: PairDiff) -> dict[str, Any]:
    """Describe the difference as plain data: masks over tokens, steps, hunks, quality."""
    arrays = (
        *("completion_ids", "loss_mask", "token_ops", "gap_mask", "repair_ids", "repair_mask"),
        *("token_bytes", "step_ids", "step_labels", "step_changed"),
    )
    return {
        **{name: getattr(diff, name).tolist() for name in arrays},
        "first_error_step": diff.first_error_step,
        "step_roles": list(diff.step_roles),
        "weights": None if diff.weights is None else diff.weights.tolist(),
        "hunks": [hunk.to_json() for hunk in diff.hunks],
        "quality": {
            name: getattr(diff.quality, name)
            for name in ("edit_ratio", "step_edit_ratio", "n_hunks", "ambiguous", "approximate")
        },
    }


def print_difference(diff: PairDiff) -> None:
    """Both texts with their marks, then one line per hunk."""
    console = open_console()
    console.print(render_side("- ", diff.completion, _wrong_spans(diff)), end="")
    console.print(render_side("+ ", diff.repair, _right_spans(diff)), end="")
    if not diff.hunks:
        console.print("no difference")
        return
    table = Table(box=None)
    for name in ("step", "kind", "wrong", "right", "in mask", "role"):
        table.add_column(name)
    for hunk in diff.hunks:
        table.add_row(
            str(hunk.wrong_step + 1),
            hunk.kind,
            Text(repr(hunk.wrong_text)),
            Text(repr(hunk.right_text)),
            "yes" if hunk.in_mask else "no",
            hunk.role or "",
        )
    console.print(table)
    masked, total = int(diff.loss_mask.sum()), len(diff.loss_mask)
    console.print(
        f"{masked} of {total} tokens in the mask, edit ratio {diff.quality.edit_ratio:.0%}"
    )


def _wrong_spans(diff: PairDiff) -> Iterator[tuple[int, int, str]]:
    for hunk in diff.hunks:
        start, end = hunk.wrong_bytes
        style = {"move": STYLES[3], "format": STYLES[4]}.get(hunk.kind, STYLES[1])
        yield start, end, style if start < end else NEW_STYLE


def _right_spans(diff: PairDiff) -> Iterator[tuple[int, int, str]]:
    for hunk in diff.hunks:
        start, end = hunk.right_bytes
        if start < end:
            yield start, end, NEW_STYLE
