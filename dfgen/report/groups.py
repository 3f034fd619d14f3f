"""The table at the end of `dfgen sample`: what the groups are good for."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

_BAR = 30


def print_groups(groups: dict[str, Any]) -> None:
    """Print the figures of `measure_groups` on stdout."""
    console = Console()
    console.print(build_table(groups))
    console.print(build_histogram(groups["pass_rate_histogram"]))


def build_table(groups: dict[str, Any]) -> Table:
    """Counts and shares, one a line."""
    table = Table(title="groups", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    prompts, cells = groups["prompts"], groups["trajectories"]
    table.add_row("prompts", f"{prompts:,}")
    table.add_row("trajectories", f"{cells:,}")
    table.add_row("tokens per second", _format(groups["tokens_per_second"], "{:,.0f}"))
    table.add_row("pass rate", _format(groups["pass_rate"], "{:.1%}"))
    for name in ("all_right", "mixed", "all_wrong"):
        share = f" ({groups[name] / prompts:.1%})" if prompts else ""
        table.add_row(f"groups {name.replace('_', ' ')}", f"{groups[name]:,}{share}")
    truncated = _format(groups["truncated_share"], "{:.1%}")
    table.add_row("truncated", f"{groups['truncated']:,} ({truncated})")
    return table


def build_histogram(bins: list[int]) -> Table:
    """Prompts by pass rate, as bars."""
    table = Table(title="prompts by pass rate", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    highest = max(bins, default=0)
    for index, count in enumerate(bins):
        low, high = index / len(bins), (index + 1) / len(bins)
        # The last bin holds its upper end, too: prompts that are always right.
        below = "" if index == len(bins) - 1 else "<"
        label = f"{low:.1f} to {below}{high:.1f}"
        width = round(_BAR * count / highest) if highest else 0
        table.add_row(label, f"{count:,}", "#" * max(width, int(count > 0)))
    return table


def _format(value: float | None, pattern: str) -> str:
    return "-" if value is None else pattern.format(value)
