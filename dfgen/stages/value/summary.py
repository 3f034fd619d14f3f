"""Sums up what the masks of a run hold of the lost success, beside their rivals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.config.mask import MaskConfig
from dfgen.stages.value.blame import (
    Blamed,
    Interval,
    compare_captures,
    measure_capture,
    measure_density,
    measure_lift,
    measure_mean,
)
from dfgen.stages.value.masks import OWN
from dfgen.stages.value.planning import STAGE
from dfgen.store.fingerprint import compute_digest, extract_facts, flatten

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dfgen.store.run import Run

FEWEST_PROMPTS = 20
"""Below, the width of an interval is chance: two prompts that fare alike have one of width 0."""

MASK_FACT = "mask_settings"
"""Fact of the value stage: how the masks are made whose runs were drawn on from."""

_NOT_MARKING = frozenset(
    ("correct", "outcome", "empty", "consequence_weight", "counterfactual", "value", "metadata")
)
"""Settings of masks that change no token's mark in an answer that has a repair."""

COLUMNS = ["prompt_id", "tokens", "drawn", "value_start", "hunk_values", "blame"]


def measure_run(run: Run) -> dict[str, Any] | None:
    """Measure all rows of a run, as `measure_rows` does; None where there are none."""
    return measure_rows(run.table("values").iter_rows(columns=COLUMNS))


def measure_rows(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Measure value rows; None where there are none.

    Returns:
        `trajectories`, `continuations`, `continuations_per_trajectory`, `value_start`;
        `repair_gain` with its interval and `gains_above_0_share`, at the first hunk that marks
        anything; by mask `capture` and `lift` with intervals, `density`, and of controls
        `own_minus_this`, by how much more dfgen's mask captures, over the trajectories that have
        both.
    """
    kept = list(rows)
    if not kept:
        return None
    drawn = sum(row["drawn"] for row in kept)
    gained = [(gain, row["prompt_id"]) for row in kept if (gain := _find_gain(row)) is not None]
    gains = np.array([gain for gain, _ in gained], dtype=np.float64)
    numbers: dict[str, Any] = {
        "trajectories": len(kept),
        "continuations": drawn,
        "continuations_per_trajectory": drawn / len(kept),
        "value_start": sum(row["value_start"] for row in kept) / len(kept),
        "repair_gain": describe(measure_mean(gains, 0, number_prompts(p for _, p in gained))),
        "gains_above_0_share": float((gains > 0).mean()) if len(gains) else None,
    }
    names = list(dict.fromkeys(blame["mask"] for row in kept for blame in row["blame"]))
    whole = collect_mask(kept, OWN)
    for name in names:
        has = np.array([any(b["mask"] == name for b in row["blame"]) for row in kept])
        mask = collect_mask([row for row, there in zip(kept, has, strict=True) if there], name)
        numbers[name] = {
            "capture": describe(measure_capture(mask)),
            "density": measure_density(mask),
            "lift": describe(measure_lift(mask)),
        }
        if name != OWN:
            own = whole.select(np.flatnonzero(has))
            numbers[name]["own_minus_this"] = describe(compare_captures(own, mask))
    return numbers


def read_blame(run: Run, masks: MaskConfig) -> tuple[dict[str, Any] | None, str | None]:
    """Read what the value stage has noted of a run, if it is of what there is now.

    Args:
        masks: the settings of the masks that there are.

    Returns:
        What `measure_run` gave, or None and, where figures are left out, why, in a sentence.
    """
    record = run.manifest.get_stage(STAGE)
    blame = record.facts.get("blame")
    if not blame:
        return None, None
    if record.state != "done":
        return None, (
            "How much blame the masks hold is left out: answers, repairs or what graded them have "
            "changed since it was measured. `dfgen value` measures what there is now."
        )
    measured = extract_facts(STAGE, record.fingerprint).get(MASK_FACT)
    if measured is not None and measured != hash_mask_settings(masks):
        return None, (
            "How much blame the masks hold is left out: it was measured for masks of other "
            "settings. `dfgen value --redo value` measures these."
        )
    return blame, None


def hash_mask_settings(config: MaskConfig) -> str:
    """Return a hash of the settings by which tokens are marked and steps are told apart.

    Defaults are left out, so that a setting which comes with another dfgen changes nothing.
    """
    values, others = flatten(config), flatten(MaskConfig())
    marking = {n: v for n, v in values.items() if n not in _NOT_MARKING and v != others[n]}
    return compute_digest(marking)


def find_width(run: Run) -> float:
    """Return the width of the interval of dfgen's own capture so far.

    nan, which is no width to stop at, where there are fewer than `FEWEST_PROMPTS`.
    """
    rows = list(run.table("values").iter_rows(columns=COLUMNS))
    if len({row["prompt_id"] for row in rows}) < FEWEST_PROMPTS:
        return math.nan
    return measure_capture(collect_mask(rows, OWN)).width


def collect_mask(rows: Iterable[Mapping[str, Any]], name: str) -> Blamed:
    """Collect what rows say of one mask, which all of them have."""
    found, prompts = [], []
    for row in rows:
        for blame in row["blame"]:
            if blame["mask"] == name:
                found.append(
                    (blame["captured"], blame["tokens"], row["value_start"], row["tokens"])
                )
                prompts.append(row["prompt_id"])
    captured, tokens, start, length = np.array(found, dtype=np.float64).reshape(-1, 4).T
    return Blamed(captured, tokens, start, length, number_prompts(prompts))


def number_prompts(prompts: Iterable[str]) -> NDArray[np.int64]:
    """Number prompts in the order in which they first come: int64, one for each given."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(prompt, len(numbers)) for prompt in prompts], np.int64)


def describe(interval: Interval) -> dict[str, float | None]:
    """Write an interval for JSON, which has no word for nan."""
    values = {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
    return {name: float(value) if math.isfinite(value) else None for name, value in values.items()}


def _find_gain(row: Mapping[str, Any]) -> float | None:
    """The gain at the first hunk that marks a token."""
    marked = (value for value in row["hunk_values"] if value["start"] is not None)
    return next((value["value_gain"] for value in marked), None)
