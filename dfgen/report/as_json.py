"""Says of single answers and rejected rows what `dfgen inspect` shows, as JSON for programs."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dfgen.report.samples import Sample, gather_samples

if TYPE_CHECKING:
    from dfgen.store.finished import FinishedRun

_TEXTS_OF_JSON = ("hunks", "metadata", "edits")


def describe_samples(finished: FinishedRun, ids: Collection[str]) -> list[dict[str, Any]]:
    """Describe trajectories, in the order of the run: the columns of their masks, and beside them
    `prompt`, `verdict`, `repair_row`, `reject`, `attempts` and `group_rewards`; no pictures.

    Names are those of the tables. Columns that hold JSON are parsed; numbers that JSON cannot say
    (NaN, infinity) are null.
    """
    samples = gather_samples(finished, set(ids), pictures=False)
    return [_describe_sample(sample) for sample in samples]


def describe_rejects(rows: Iterable[Mapping[str, Any]], first: int | None = None) -> dict[str, Any]:
    """Describe rejected rows: `counts` by stage and reason, most frequent first, and `rows`.

    Args:
        rows: of the rejects.
        first: how many rows of each stage and reason to list; None: all.
    """
    names = ("stage", "reason")
    counts: Counter[tuple[Any, ...]] = Counter()
    listed = []
    for row in rows:
        key = tuple(row[name] for name in names)
        counts[key] += 1
        if first is None or counts[key] <= first:
            listed.append(dict(row))
    return {
        "counts": [
            {**dict(zip(names, key, strict=True)), "rows": number}
            for key, number in counts.most_common()
        ],
        "rows": listed,
    }


def _describe_sample(sample: Sample) -> dict[str, Any]:
    repair = sample.repair
    reject = sample.reject
    described = {
        **sample.mask,
        "prompt": dict(sample.prompt),
        "verdict": sample.verdict,
        "repair_row": None if repair is None else dict(repair),
        "reject": None
        if reject is None
        else {"reason": reject["reason"], "detail": reject["detail"]},
        "attempts": sample.attempts,
        "group_rewards": {str(index): reward for index, reward in sorted(sample.group.items())},
    }
    clean: dict[str, Any] = _clean(described)
    return clean


def _clean(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _clean(each, key) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if name in _TEXTS_OF_JSON and isinstance(value, str):
        return json.loads(value)
    return value
