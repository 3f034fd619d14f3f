"""Estimates how much of the lost success a mask holds, with bootstrap intervals.

V(t) is the share of continuations of the first t tokens of a wrong answer, drawn from the policy
itself, that end right. V at the end is 0, so over all tokens the drops of V add up to V(0), and a
mask *captures* the drops along its maximal runs:

    blame capture   sum of V(a) - V(b) over runs [a, b), over V(0), both summed over trajectories
    density         masked tokens over all tokens
    lift            capture over density: 1 is what tokens picked by chance would hold
    repair gain     V(repair through its first corrected hunk) - V(answer through the same hunk)

Continuations as a measure of single steps: Math-Shepherd (arXiv 2312.08935) and VinePPO (arXiv
2410.01679); here they measure masks and not steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLES = 2000
"""Bootstrap samples."""

_CHUNK = 100
"""Of them that are held at a time."""

_LEVELS = (2.5, 97.5)

Sums = NDArray[np.float64]


def find_runs(mask: Sequence[bool] | NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the maximal runs [start, end) of true values of bool[T], in order."""
    padded = np.concatenate(([False], np.asarray(mask, dtype=np.bool_), [False]))
    edges = np.flatnonzero(padded[1:] != padded[:-1]).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def capture(mask: Sequence[bool] | NDArray[np.bool_], values: Mapping[int, float]) -> float:
    """Return the drops of V along the runs of a mask.

    Args:
        mask: bool[T].
        values: V by number of tokens given; needed at both ends of each run.

    Raises:
        KeyError: V is not known at an end of a run.
    """
    return sum(values[start] - values[end] for start, end in find_runs(mask))


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval (percentiles of a bootstrap).

    Attributes:
        estimate: of the trajectories there are; nan where nothing can be said.
        low, high: ends of the interval; nan where a single prompt is all there is.
    """

    estimate: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """The distance of the ends."""
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Blamed:
    """One mask over n trajectories; all float64[n].

    Attributes:
        captured: drops of V along its runs.
        tokens: that it marks.
        starts: V(0).
        lengths: T.
        clusters: int64[n], the prompt of each: answers to one prompt share V(0) and picture, and
            are drawn again together. None: each stands alone.
    """

    captured: Sums
    tokens: Sums
    starts: Sums
    lengths: Sums
    clusters: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.captured)

    def select(self, rows: NDArray[np.int64]) -> Blamed:
        """Return the same of some trajectories."""
        clusters = None if self.clusters is None else self.clusters[rows]
        return Blamed(
            self.captured[rows], self.tokens[rows], self.starts[rows], self.lengths[rows], clusters
        )


def measure_capture(mask: Blamed, seed: int = 0) -> Interval:
    """Measure which share of the lost success a mask holds."""
    return bootstrap([mask.captured, mask.starts], _divide, seed, mask.clusters)


def measure_density(mask: Blamed) -> float:
    """Measure which share of the tokens a mask marks."""
    return float(_divide(mask.tokens.sum(), mask.lengths.sum()))


def measure_lift(mask: Blamed, seed: int = 0) -> Interval:
    """Measure how many times more a mask holds than tokens picked by chance would."""
    columns = [mask.captured, mask.starts, mask.tokens, mask.lengths]
    return bootstrap(
        columns, lambda c, s, m, n: _divide(_divide(c, s), _divide(m, n)), seed, mask.clusters
    )


def compare_captures(mask: Blamed, other: Blamed, seed: int = 0) -> Interval:
    """Measure by how much more a mask holds than another over the same trajectories.

    Raises:
        ValueError: they are of different trajectories.
    """
    if not np.array_equal(mask.starts, other.starts):
        raise ValueError("both masks must be of the same trajectories")
    columns = [mask.captured, other.captured, mask.starts]
    return bootstrap(columns, lambda a, b, s: _divide(a - b, s), seed, mask.clusters)


def measure_mean(
    values: Sums, seed: int = 0, clusters: NDArray[np.int64] | None = None
) -> Interval:
    """Measure the mean of float64[n]; `clusters` as in `Blamed`."""
    return bootstrap([values, np.ones_like(values)], _divide, seed, clusters)


def bootstrap(
    columns: Sequence[Sums],
    compute: Callable[..., Sums],
    seed: int = 0,
    clusters: NDArray[np.int64] | None = None,
) -> Interval:
    """Estimate a function of sums over trajectories, which are drawn again with replacement.

    Args:
        columns: float64[n] each.
        compute: of one array of sums for each column; elementwise.
        seed: of the samples.
        clusters: int64[n]: trajectories that are drawn again together. None: each alone.

    Returns:
        Without an interval where there is one cluster alone: drawn again it is always itself, and
        says nothing about others.
    """
    if not len(columns[0]):
        return Interval(np.nan, np.nan, np.nan)
    table = np.stack(columns, axis=1)
    if clusters is not None:
        names, of_row = np.unique(clusters, return_inverse=True)
        summed = np.zeros((len(names), table.shape[1]))
        np.add.at(summed, of_row, table)
        table = summed
    n = len(table)
    estimate = float(compute(*table.sum(axis=0)))
    if n < 2:
        return Interval(estimate, np.nan, np.nan)
    generator = np.random.default_rng(seed)
    found = []
    for start in range(0, SAMPLES, _CHUNK):
        size = min(_CHUNK, SAMPLES - start)
        counts = generator.multinomial(n, np.full(n, 1 / n), size=size)
        found.append(compute(*(counts @ table).T))
    samples = np.concatenate(found)
    samples = samples[np.isfinite(samples)]
    if not len(samples):
        return Interval(estimate, np.nan, np.nan)
    low, high = np.percentile(samples, _LEVELS)
    return Interval(estimate, float(low), float(high))


def _divide(above: Sums, below: Sums) -> Sums:
    """Divide; nan where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(below) == 0, np.nan, np.true_divide(above, below))
