"""Prints the figures of a run in a terminal: a table per subject that there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from dfgen.report.console import open_console

COUNTS = ("input", "output", "rejects", "pending")
_BAR = 30
_LEVELS = "▁▂▃▄▅▆▇█"
_MEANINGS = {
    "blame": "capture: share of the fall in right continuations that lies on the mask's tokens; "
    "density: share of the tokens that it holds; lift: capture / density, 1 is chance; "
    "repair gain: what the repair of the first wrong edit wins back of it."
}
"""What the figures of a subject mean, where their names do not say it."""


def print_numbers(numbers: Mapping[str, Any]) -> None:
    """Print the figures of a run, all or some of what `collect_numbers` gives."""
    console = open_console()
    if "counts" in numbers:
        console.print(tabulate_counts(numbers["run"], numbers["counts"]))
    outcomes = numbers.get("distributions", {}).get("attempts_by_outcome", {})
    for subject, values in numbers.items():
        if subject in ("run", "counts", "distributions") or not isinstance(values, dict):
            continue
        lines = [(name, value) for name, value in values.items() if value not in ({}, [], None)]
        if lines:
            console.print()
            console.print(_tabulate_figures(subject, lines))
    if outcomes:
        console.print()
        console.print(_tabulate_outcomes(outcomes))


def print_groups(groups: dict[str, Any]) -> None:
    """Print what the groups are good for: the figures of `measure_groups`, on stdout."""
    console = open_console()
    console.print(tabulate_groups(groups))
    console.print(tabulate_pass_rates(groups["pass_rate_histogram"]))


def tabulate_groups(groups: dict[str, Any]) -> Table:
    """Counts and shares, one a line."""
    table = Table(title="groups", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    prompts, cells = groups["prompts"], groups["trajectories"]
    table.add_row("prompts", f"{prompts:,}")
    table.add_row("trajectories", f"{cells:,}")
    table.add_row("tokens per second", _fill(groups["tokens_per_second"], "{:,.0f}"))
    table.add_row("pass rate", _fill(groups["pass_rate"], "{:.1%}"))
    if groups.get("undecided"):  # figures of an earlier dfgen have none
        undecided = _fill(groups["undecided_share"], "{:.1%}")
        decided = _fill(groups["pass_rate_of_decided"], "{:.1%}")
        table.add_row("undecided, counted as not right", f"{groups['undecided']:,} ({undecided})")
        table.add_row("pass rate without the undecided", decided)
    for name in ("all_right", "mixed", "all_wrong"):
        share = f" ({groups[name] / prompts:.1%})" if prompts else ""
        table.add_row(f"groups {name.replace('_', ' ')}", f"{groups[name]:,}{share}")
    truncated = _fill(groups["truncated_share"], "{:.1%}")
    table.add_row("truncated", f"{groups['truncated']:,} ({truncated})")
    return table


def tabulate_pass_rates(bins: list[int]) -> Table:
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


def tabulate_counts(title: str, counts: Mapping[Any, Mapping[str, int]]) -> Table:
    """Tabulate rows in, out, rejected and pending, a line per stage."""
    table = Table(title=title, title_justify="left")
    table.add_column("stage")
    for name in COUNTS:
        table.add_column(name, justify="right")
    for stage, numbers in counts.items():
        row = (numbers.get(name) for name in COUNTS)
        table.add_row(stage, *("" if value is None else f"{value:,}" for value in row))
    return table


def _tabulate_figures(subject: str, lines: Iterable[tuple[str, Any]]) -> Table:
    table = _make_table(_to_words(subject))
    table.show_header = False
    table.add_column(style="dim", min_width=22)
    table.add_column()
    for name, value in lines:
        table.add_row(_to_words(name.replace("_usd", "")), format_figure(name, value))
    table.caption, table.caption_justify = _MEANINGS.get(subject), "left"
    return table


def _tabulate_outcomes(outcomes: Mapping[str, Mapping[str, float]]) -> Table:
    table = _make_table("attempts at a repair")
    table.add_column("outcome", min_width=22)
    for name in ("attempts", "tokens read", "tokens written", "cost"):
        table.add_column(name, justify="right")
    for reason, sums in outcomes.items():
        names = ("attempts", "prompt_tokens", "completion_tokens", "cost_usd")
        table.add_row(reason, *(format_figure(name, sums[name]) for name in names))
    return table


def print_costs(costs: Mapping[str, Any]) -> None:
    """Print the figures of `measure_costs`: a table for each way to split them."""
    console = open_console()
    for title, sums in (
        ("by model", costs["by_model"]),
        ("by lane", costs["by_lane"]),
        ("by what came of it", costs["by_reason"]),
    ):
        console.print(_tabulate_costs(title, {**sums, "total": costs["total"]}))
        console.print()
    names = ("cost_usd_per_accepted", "gradient_tokens", "cost_usd_per_gradient_token")
    lines = [("accepted repairs", costs["accepted"]), *((name, costs[name]) for name in names)]
    lines += [(f"price {name}", value) for name, value in (costs["prices"] or {}).items()]
    console.print(_tabulate_figures("per accepted repair, per token", lines))


def _tabulate_costs(title: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _make_table(title)
    table.add_column("", min_width=6, overflow="fold")
    shown = {
        "requests": "requests",
        "prompt_tokens": "tokens read",
        "cached_tokens": "of them cached",
        "completion_tokens": "tokens written",
        "cost_usd": "cost",
        "unknown": "cost unknown",
        "accepted": "repairs",
    }
    if not any(sums["unknown"] for sums in rows.values()):
        del shown["unknown"]  # a terminal of 80 columns holds the rest
    columns = [[format_figure(name, sums[name]) for sums in rows.values()] for name in shown]
    for head, cells in zip(shown.values(), columns, strict=True):
        width = max(map(len, [*head.split(), *cells]))  # it is names that are folded, not figures
        table.add_column(head, justify="right", min_width=width)
    for key, *cells in zip(rows, *columns, strict=True):
        table.add_row(key, *cells)
    return table


def _make_table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )


def format_figure(name: str, value: Any) -> str:
    """Write a figure in words: its name says whether it is a share or money."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return _format_group(value)
    if isinstance(value, list):
        return _draw_levels(value)
    if "cost_usd" in name:
        return f"${value:.2f}" if value >= 0.01 or value == 0 else f"${value:.2g}"
    if isinstance(value, float):
        shares = ("rate", "share", "ratio", "agreement")
        return f"{value:.1%}" if name.endswith(shares) else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _format_group(values: Mapping[str, Any]) -> str:
    """An estimate with its interval, or several figures with their names."""
    if values.keys() == {"estimate", "low", "high"}:
        estimate, low, high = (
            _fill(values[each], "{:.3g}") for each in ("estimate", "low", "high")
        )
        return f"{estimate} [{low}, {high}]"
    parts = (f"{_to_words(key)}: {format_figure(key, each)}" for key, each in values.items())
    return ", ".join(parts)


def _draw_levels(values: list[float]) -> str:
    """A histogram as a line of blocks, with its numbers."""
    top = max(values, default=0) or 1
    blocks = (_LEVELS[min(7, round(7 * value / top))] if value else " " for value in values)
    return f"{''.join(blocks)}  ({' '.join(f'{value:,}' for value in values)})"


def _to_words(name: str) -> str:
    return name.replace("_", " ")


def _fill(value: float | None, pattern: str) -> str:
    return "-" if value is None else pattern.format(value)
