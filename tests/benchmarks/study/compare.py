"""Compares two arms seed by seed: mean, bootstrap interval, p-value, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000


@dataclass(frozen=True)
class Difference:
    """Of two arms over the seeds that both have.

    Attributes:
        mean, low, high: mean of the paired differences and its 95 % bootstrap interval.
        p: of the paired t-test, two-sided; 1 with fewer than two seeds.
        seeds: how many.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int


def compare(one: dict[int, float], other: dict[int, float]) -> Difference | None:
    """Compare figures by seed; None where the arms have no seed in common.

    A bootstrap over n seeds is too narrow by sqrt((n - 1) / n); the interval is widened by that.
    """
    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return None
    gaps = np.array([one[seed] - other[seed] for seed in seeds])
    mean, count = float(gaps.mean()), len(gaps)
    if count == 1:
        return Difference(mean, -math.inf, math.inf, 1.0, 1)
    rng = np.random.default_rng(0)
    drawn = gaps[rng.integers(0, count, size=(RESAMPLES, count))].mean(axis=1) - mean
    low, high = np.quantile(drawn * math.sqrt(count / (count - 1)), (0.025, 0.975))
    error = float(gaps.std(ddof=1)) / math.sqrt(count)
    p = tail_of_t(abs(mean) / error, count - 1) if error > 0 else float(mean == 0)
    return Difference(mean, mean + float(low), mean + float(high), p, count)


def tail_of_t(t: float, freedom: int) -> float:
    """Return the two-sided tail of Student's t, by Simpson's rule over the angle atan(t / sqrt n).

    With t = sqrt(n) tan(a) the density becomes cos(a)^(n - 1), up to a constant.
    """
    edge = math.atan(t / math.sqrt(freedom))
    angles = np.linspace(0, math.pi / 2, 20_001)
    density = np.cos(angles) ** (freedom - 1)
    weights = np.ones_like(angles)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    whole = float((weights * density).sum())
    inside = np.linspace(0, edge, 20_001)
    part = float((weights * np.cos(inside) ** (freedom - 1)).sum()) * edge / (math.pi / 2)
    return max(0.0, 1 - part / whole)


def correct_holm(ps: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979), in the order given."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    corrected, highest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, ps[index] * (len(ps) - rank)))
        corrected[index] = highest
    return corrected
