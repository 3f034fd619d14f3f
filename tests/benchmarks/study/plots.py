"""Draws the study's plots as PNG; matplotlib is installed by `make study` and by nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.study.arms import MAIN_ARMS
from tests.benchmarks.study.comparisons import (
    Row,
    choose_rows,
    is_plain,
    list_cells,
    name_cell,
)


def draw_plots(rows: list[Row], rates: dict[str, float], folder: Path) -> None:
    """Write for each table accuracy.png (arms by start) and curves.png (reward by round)."""
    import matplotlib

    matplotlib.use("Agg")
    trained, starts = choose_rows(rows, rates)
    trained = [row for row in trained if row["arm"] in MAIN_ARMS and is_plain(row)]
    for cell in list_cells(trained):
        task, regime, repairer, verified = cell
        chosen = [row for row in trained if name_cell(row) == cell]
        name = f"{task}-{regime}-{repairer}{'' if verified else '-unverified'}"
        draw_accuracy(chosen, starts, folder / f"{name}-accuracy.png", f"{task}, {regime}")
        if regime == "rounds":
            draw_curves(chosen, folder / f"{name}-curves.png", f"{task}, {regime}")


def draw_accuracy(rows: list[Row], starts: dict[Any, Row], path: Path, title: str) -> None:
    """Draw every seed as a dot and the mean as a bar, greedy beside T = 1."""
    from matplotlib import pyplot

    percents = sorted({row["start"] for row in rows}, key=int)
    figure, axes = pyplot.subplots(
        1, len(percents), figsize=(4.2 * len(percents), 3.6), squeeze=False
    )
    for axis, start in zip(axes[0], percents, strict=True):
        names = [arm for arm in MAIN_ARMS if any(r["arm"] == arm for r in rows)]
        for shift, key, colour in (
            (-0.2, "greedy_accuracy", "tab:blue"),
            (0.2, "sampled_accuracy", "tab:orange"),
        ):
            for place, arm in enumerate(names):
                values = [r[key] for r in rows if r["arm"] == arm and r["start"] == start]
                if not values:
                    continue
                axis.bar(place + shift, np.mean(values), width=0.38, color=colour, alpha=0.5)
                axis.plot([place + shift] * len(values), values, ".", color=colour, markersize=4)
            begin = starts.get((rows[0]["task"], start))
            if begin:
                axis.axhline(begin[key], color=colour, linestyle=":", linewidth=1)
        axis.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=7)
        axis.set_title(f"{title}: start {start} %", fontsize=9)
    axes[0][0].set_ylabel("held-out accuracy: greedy (blue), T = 1 (orange)", fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def draw_curves(rows: list[Row], path: Path, title: str) -> None:
    """Draw the share of right answers among those sampled, round by round, mean over seeds."""
    from matplotlib import pyplot

    percents = sorted({row["start"] for row in rows}, key=int)
    figure, axes = pyplot.subplots(
        1, len(percents), figsize=(4.2 * len(percents), 3.2), squeeze=False
    )
    for axis, start in zip(axes[0], percents, strict=True):
        for arm in MAIN_ARMS:
            curves = [r["rewards"] for r in rows if r["arm"] == arm and r["start"] == start]
            if curves:
                axis.plot(np.mean(curves, axis=0), label=arm, linewidth=1.2)
        axis.set_title(f"{title}: start {start} %", fontsize=9)
        axis.set_xlabel("round", fontsize=8)
    axes[0][0].set_ylabel("right among sampled, T = 1", fontsize=8)
    axes[0][-1].legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
