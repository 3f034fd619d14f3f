"""Plans what has to be read to score trajectories and repairs: each text of a prompt once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.diff.pair import encode_repair
from dfgen.errors import RowError
from dfgen.records import Reject

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dfgen.config.score import ScoreConfig
    from dfgen.tokens.tokenizer import TextTokenizer

STAGE = "score"
LOOKED_AT = ("trajectory_id", "prompt_id", "sample_index", "completion_ids", "logprobs")
"""Columns of trajectories that scoring needs."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A trajectory to score.

    Attributes:
        trajectory_id, prompt_id, sample_index: which it is.
        key: of its completion's ids among those of its prompt.
        stored: float32[T], the logprobs there are; None: there are none.
        repair_key: of its repair's ids; None: it has no repair.
    """

    trajectory_id: str
    prompt_id: str
    sample_index: int
    key: str
    stored: NDArray[np.float32] | None
    repair_key: str | None


@dataclass
class Plan:
    """What is to be done in a shard.

    Attributes:
        rows: trajectories in the order of their file, and rejects in the places of those that
            cannot be scored.
        ids: int32, what has to be read, by key; equal ids of one prompt are read once.
        keys: by prompt_id, the keys of its ids.
        answers: keys that are completions, which alone are read with black pictures, too.
    """

    rows: list[Planned | Reject] = field(default_factory=list)
    ids: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)
    answers: set[str] = field(default_factory=set)


def hash_ids(ids: Sequence[int] | NDArray[np.int32]) -> str:
    """Compute the sha256 of token ids as little-endian int32, 64 hex digits."""
    return hashlib.sha256(np.asarray(ids, dtype="<i4").tobytes()).hexdigest()


def plan_shard(
    trajectories: Iterable[Mapping[str, Any]],
    repairs: Mapping[str, str],
    tokenizer: TextTokenizer,
    config: ScoreConfig,
) -> Plan:
    """Plan a shard.

    Args:
        trajectories: rows with the columns `LOOKED_AT`.
        repairs: accepted repairs' texts by trajectory_id.
        tokenizer: the policy's, in whose tokens the mask stage puts repairs, too.
        config: which trajectories are wanted.
    """
    plan = Plan()
    for row in trajectories:
        key, prompt_id = row["trajectory_id"], row["prompt_id"]
        repair = repairs.get(key)
        if repair is None and config.completions == "repaired":
            continue
        try:
            own = _add(plan, prompt_id, row["completion_ids"])
            other = None
            if repair is not None:
                other = _add(
                    plan, prompt_id, encode_repair(repair, row["completion_ids"], tokenizer)
                )
        except RowError as error:
            plan.rows.append(Reject.from_error(STAGE, key, prompt_id, error))
            continue
        plan.answers.add(own)
        stored = row["logprobs"]
        values = None if stored is None else np.array(stored, dtype=np.float32)
        plan.rows.append(Planned(key, prompt_id, row["sample_index"], own, values, other))
    return plan


def _add(plan: Plan, prompt_id: str, ids: Sequence[int]) -> str:
    key = f"{prompt_id}/{hash_ids(ids)}"
    if key not in plan.ids:
        plan.ids[key] = np.asarray(ids, dtype=np.int32)
        plan.keys.setdefault(prompt_id, []).append(key)
    return key


def list_readings(plan: Plan, prompt_id: str) -> Iterator[tuple[str, NDArray[np.int32]]]:
    """List what is read of a prompt, the like lengths together, for engines that pad."""
    for key in sorted(plan.keys.get(prompt_id, ()), key=lambda key: (len(plan.ids[key]), key)):
        yield key, plan.ids[key]
