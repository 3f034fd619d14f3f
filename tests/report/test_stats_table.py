"""The table at the end of `dfgen sample`."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from dfgen.report.stats_table import (
    print_costs,
    print_groups,
    tabulate_groups,
    tabulate_pass_rates,
)

GROUPS = {
    "prompts": 12,
    "trajectories": 96,
    "pass_rate": 0.4375,
    "all_right": 2,
    "all_wrong": 3,
    "mixed": 7,
    "pass_rate_histogram": [3, 0, 3, 0, 0, 2, 0, 2, 0, 2],
    "truncated": 12,
    "truncated_share": 0.125,
    "completion_tokens": 4000,
    "tokens_per_second": 1234.5,
}


def render(table: object) -> str:
    stream = io.StringIO()
    Console(width=100, file=stream).print(table)
    return stream.getvalue()


def test_counts_and_shares() -> None:
    text = render(tabulate_groups(GROUPS))
    for part in ("12", "96", "1,234", "43.8%", "2 (16.7%)", "7 (58.3%)", "3 (25.0%)", "12 (12.5%)"):
        assert part in text


def test_bars_are_as_long_as_their_counts() -> None:
    lines = [
        line for line in render(tabulate_pass_rates([4, 0, 2, 1])).splitlines() if " to " in line
    ]
    assert [line.count("#") for line in lines] == [30, 0, 15, 8]
    assert "0.8 to 1.0" in lines[-1] and "0.0 to <0.2" in lines[0]


def test_nothing_sampled(capsys: pytest.CaptureFixture[str]) -> None:
    empty = {
        **dict.fromkeys(GROUPS, 0),
        "pass_rate": None,
        "truncated_share": None,
        "tokens_per_second": None,
        "pass_rate_histogram": [0] * 10,
    }
    print_groups(empty)
    assert "0 (-)" in capsys.readouterr().out


@pytest.mark.parametrize("unknown", [0, 3])
def test_costs_say_all_in_80_columns(
    unknown: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    sums = {
        "requests": 2_345,
        "prompt_tokens": 1_616_717,
        "cached_tokens": 608_123,
        "completion_tokens": 545_321,
        "cost_usd": 123.45,
        "unknown": unknown,
        "accepted": 1_052,
    }
    rows = {"a/long/name/of/a/model-72B": sums}
    ways = {"by_model": rows, "by_lane": rows, "by_reason": rows}
    ends = dict.fromkeys(("accepted", "cost_usd_per_accepted", "gradient_tokens"), 1)
    print_costs({**ways, **ends, "total": sums, "prices": None, "cost_usd_per_gradient_token": 1})
    said = capsys.readouterr().out
    for value in ("2,345", "1,616,717", "608,123", "545,321", "$123.45", "1,052"):
        assert said.count(value) == 6
    assert ("unknown" in said) == bool(unknown)
