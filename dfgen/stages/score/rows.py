"""Makes score rows of what the policy said, and journal records of what it says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from dfgen.arrow_types import Float32
from dfgen.errors import RowError
from dfgen.records import Reject, Score
from dfgen.stages.score.gap import measure_gaps
from dfgen.stages.score.planning import STAGE, Plan, Planned, hash_ids
from dfgen.stages.sifting import sift_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dfgen.config.sampling import Sampling
    from dfgen.engines.base import ScoreResult

BLACK = "/black"
"""Ends the key of ids that are read with black pictures, where the engine cannot compare itself."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of ids that were read, a value for each: see `ScoreResult`.

    Attributes:
        logprobs, tempered, contrast_kl: float32[T] or None.
        reason, detail: why there are none.
    """

    logprobs: NDArray[np.float32] | None
    tempered: NDArray[np.float32] | None = None
    contrast_kl: NDArray[np.float32] | None = None
    reason: str | None = None
    detail: str | None = None


class ReadingRecord(BaseModel):
    """A reading as the journal keeps it, under its key."""

    key: str
    logprobs: list[Float32] | None = None
    tempered: list[Float32] | None = None
    contrast_kl: list[Float32] | None = None
    reason: str | None = None
    detail: str | None = None


def make_reading(result: ScoreResult) -> Reading:
    """Take what is kept of an engine's answer."""
    if result.failure is not None:
        return Reading(None, reason=result.failure.reason, detail=result.failure.detail)
    names = ("logprobs", "tempered", "contrast_kl")
    arrays = {name: _to_array(getattr(result, name)) for name in names}
    for name, array in arrays.items():
        if array is not None and not np.isfinite(array).all():
            first = int(np.flatnonzero(~np.isfinite(array))[0])
            detail = f"{name}: {array[first]} at token {first} of {len(array)}."
            return Reading(None, reason="logprobs_invalid", detail=detail)
    return Reading(arrays["logprobs"], arrays["tempered"], arrays["contrast_kl"])


def is_enough(reading: Reading, *, tempered: bool, contrast: bool) -> bool:
    """Say whether a reading from before holds all that is asked for now."""
    if reading.reason is not None:
        return True
    return (reading.tempered is not None or not tempered) and (
        reading.contrast_kl is not None or not contrast
    )


def to_record(key: str, reading: Reading) -> dict[str, Any]:
    """Write a reading for the journal."""
    values = {name: getattr(reading, name) for name in Reading.__dataclass_fields__}
    return {"key": key, **{name: value for name, value in values.items() if value is not None}}


def from_record(record: Mapping[str, Any]) -> tuple[str, Reading]:
    """Read a reading back from the journal."""
    arrays = {name: _to_array(record.get(name)) for name in ("logprobs", "tempered", "contrast_kl")}
    return record["key"], Reading(
        **arrays, reason=record.get("reason"), detail=record.get("detail")
    )


def split_rows(plan: Plan, readings: Mapping[str, Reading]) -> tuple[list[Planned], list[Reject]]:
    """Part the trajectories whose ids could all be read from those that are rejects, in order.

    Args:
        plan: of the shard.
        readings: by key, for every key of the plan; those of completions with black pictures under
            their key and `BLACK`, if they were read so.
    """
    return sift_rows(STAGE, plan.rows, lambda row: _require_all(row, readings))


def make_score(
    row: Planned, plan: Plan, readings: Mapping[str, Reading], sampling: Sampling
) -> Score:
    """Make the row of a trajectory whose ids could all be read.

    Args:
        row, plan, readings: see `split_rows`.
        sampling: how the answers were drawn.
    """
    own, black = readings[row.key], readings.get(row.key + BLACK)
    other = None if row.repair_key is None else readings[row.repair_key]
    assert own.logprobs is not None
    ratio = None
    if black is not None:
        assert black.logprobs is not None
        ratio = own.logprobs - black.logprobs
    gap = None
    if row.stored is not None and len(row.stored):
        gap = float(measure_gaps(row.stored, own.logprobs).max())
    # Not validated: every value was made here or by the engine, and Arrow checks the types.
    return Score.model_construct(
        trajectory_id=row.trajectory_id,
        prompt_id=row.prompt_id,
        sample_index=row.sample_index,
        ids_sha256=row.key.rpartition("/")[2],
        scored_logprobs=_to_list(own.logprobs),
        logprob_gap=gap,
        temperature=sampling.temperature,
        truncated_sampling=sampling.truncated,
        tempered_logprobs=_to_list(own.tempered),
        repair_ids=None if row.repair_key is None else plan.ids[row.repair_key].tolist(),
        repair_logprobs=None if other is None else _to_list(other.logprobs),
        repair_tempered_logprobs=None if other is None else _to_list(other.tempered),
        visual_kl=_to_list(own.contrast_kl),
        visual_log_ratio=_to_list(ratio),
    )


def recall_readings(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Reading]]:
    """Read back from score rows what need not be read again, however the trajectories changed.

    Of a row with `visual_log_ratio` nothing: what was read with black pictures is not in it.
    """
    for row in rows:
        if row["visual_log_ratio"] is not None:
            continue
        prompt_id = row["prompt_id"]
        yield (
            f"{prompt_id}/{row['ids_sha256']}",
            Reading(
                _to_array(row["scored_logprobs"]),
                _to_array(row["tempered_logprobs"]),
                _to_array(row["visual_kl"]),
            ),
        )
        if row["repair_ids"] is not None:
            yield (
                f"{prompt_id}/{hash_ids(row['repair_ids'])}",
                Reading(
                    _to_array(row["repair_logprobs"]), _to_array(row["repair_tempered_logprobs"])
                ),
            )


def _require_all(row: Planned, readings: Mapping[str, Reading]) -> None:
    asked = {"completion": row.key, "repair": row.repair_key, "completion again": row.key + BLACK}
    for what, key in asked.items():
        reading = readings.get(key) if key is not None else None
        if reading is not None and reading.reason is not None:
            raise RowError(reading.reason, f"the {what}: {reading.detail}", {"of": what})


def _to_array(values: Any) -> NDArray[np.float32] | None:
    return None if values is None else np.asarray(values, dtype=np.float32)


def _to_list(values: NDArray[np.float32] | None) -> list[float] | None:
    return None if values is None else values.tolist()
