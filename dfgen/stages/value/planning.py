"""Plans from which prefixes the policy is to draw on: each prefix of a prompt once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dfgen.diff.pair import diff_pair
from dfgen.engines.base import derive_seed
from dfgen.errors import RowError
from dfgen.records import Reject, is_right
from dfgen.stages.mask.weights import read_edits
from dfgen.stages.score.planning import hash_ids
from dfgen.stages.value.masks import make_masks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dfgen.config.mask import MaskConfig
    from dfgen.config.value import ValueConfig
    from dfgen.diff.pair import PairDiff
    from dfgen.records import Repair
    from dfgen.stages.value.given import GivenMasks
    from dfgen.tokens.tokenizer import TextTokenizer

STAGE = "value"
LOOKED_AT = (
    "trajectory_id",
    "prompt_id",
    "sample_index",
    "completion",
    "completion_ids",
    "logprobs",
)
"""Columns of trajectories that a plan needs."""

Side = str
"""`wrong` or `repair`."""

Place = tuple[Side, int]
"""A side and how many of its tokens are given."""


@dataclass(frozen=True, slots=True)
class PlannedHunk:
    """Where the values of a hunk are taken; None for a hunk that marks no token.

    Attributes:
        start, end: tokens [start, end) of the answer.
        repaired: tokens of the repair; None: not drawn.
    """

    start: int
    end: int
    repaired: int | None


@dataclass(frozen=True, slots=True)
class Planned:
    """A wrong answer to draw on from.

    Attributes:
        trajectory_id, prompt_id, sample_index: which it is.
        ids_sha256, repair_ids_sha256: of its tokens and those of its repair.
        tokens: T.
        masks: bool[T] by name.
        hunks: one for each hunk of the difference.
        keys: of the prefix at each place, as in `Plan.prefixes`.
        known: values that need no draw: the answer is wrong at its end, the repair right.
    """

    trajectory_id: str
    prompt_id: str
    sample_index: int
    ids_sha256: str
    repair_ids_sha256: str
    tokens: int
    masks: Mapping[str, NDArray[np.bool_]]
    hunks: Sequence[PlannedHunk | None]
    keys: Mapping[Place, str]
    known: Mapping[Place, float]


@dataclass
class Plan:
    """What is to be done in a shard.

    Attributes:
        rows: in the order of their file; rejects stand in the places of what cannot be planned.
        prefixes: token ids by key.
        keys: by prompt_id, the keys of its prefixes, the shortest first.
    """

    rows: list[Planned | Reject] = field(default_factory=list)
    prefixes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)


def choose_rows(
    trajectories: Iterable[Mapping[str, Any]],
    repaired: Iterable[str],
    limit: int | None,
    run_seed: int,
) -> set[str]:
    """Choose wrong answers with an accepted repair, of groups in which some are right.

    Args:
        trajectories: all of the run: `trajectory_id`, `prompt_id`, `reward`.
        repaired: trajectory_ids with an accepted repair.
        limit: at most so many, picked by a hash, so that the choice depends on nothing else.
        run_seed: of the run.
    """
    wanted, right, wrong = set(repaired), set[str](), dict[str, str]()
    for row in trajectories:
        if is_right(row["reward"]):
            right.add(row["prompt_id"])
        elif row["trajectory_id"] in wanted:
            wrong[row["trajectory_id"]] = row["prompt_id"]
    found = [key for key, prompt_id in wrong.items() if prompt_id in right]
    found.sort(key=lambda key: derive_seed(run_seed, STAGE, "pick", key))
    return set(found[:limit])


def plan_shard(
    trajectories: Iterable[Mapping[str, Any]],
    repairs: Mapping[str, Repair],
    tokenizer: TextTokenizer,
    masks: MaskConfig,
    config: ValueConfig,
    run_seed: int,
    max_tokens: int,
    given: GivenMasks | None = None,
) -> Plan:
    """Plan a shard.

    Args:
        trajectories: the chosen rows, with the columns `LOOKED_AT`.
        repairs: accepted ones by trajectory_id.
        tokenizer: the policy's.
        masks: how dfgen's mask is made.
        config: which prefixes are wanted.
        run_seed: of the run.
        max_tokens: that an answer may have as a whole.
        given: the user's own masks, compared as the controls are.
    """
    plan = Plan()
    for row in trajectories:
        try:
            plan.rows.append(
                _plan_row(plan, row, repairs[row["trajectory_id"]], tokenizer, masks, config,
                          run_seed, max_tokens, given or {})
            )  # fmt: skip
        except RowError as error:
            plan.rows.append(
                Reject.from_error(STAGE, row["trajectory_id"], row["prompt_id"], error)
            )
    for keys in plan.keys.values():
        keys.sort(key=lambda key: (len(plan.prefixes[key]), key))
    return plan


def _plan_row(
    plan: Plan,
    row: Mapping[str, Any],
    repair: Repair,
    tokenizer: TextTokenizer,
    masks: MaskConfig,
    config: ValueConfig,
    run_seed: int,
    max_tokens: int,
    given: GivenMasks,
) -> Planned:
    key = row["trajectory_id"]
    diff = diff_pair(
        row["completion"],
        repair.repair,
        tokenizer,
        masks,
        completion_ids=row["completion_ids"],
        edits=read_edits(repair),
    )
    diff.check_not_empty()
    compared = make_masks(
        diff, row["logprobs"], derive_seed(run_seed, STAGE, "mask", key), controls=config.controls
    )
    compared |= {name: marks[key] for name, marks in given.items() if key in marks}
    hunks = plan_hunks(diff, config)
    sides = {"wrong": diff.completion_ids, "repair": diff.repair_ids}
    keys: dict[Place, str] = {}
    known: dict[Place, float] = {}
    places = list_places(compared.values(), hunks)
    _check_room(sides, places, max_tokens)
    for side, index in places:
        if index == len(sides[side]):
            known[side, index] = 0.0 if side == "wrong" else 1.0
        else:
            keys[side, index] = _add(plan, row["prompt_id"], sides[side][:index])
    return Planned(
        trajectory_id=key,
        prompt_id=row["prompt_id"],
        sample_index=row["sample_index"],
        ids_sha256=hash_ids(diff.completion_ids),
        repair_ids_sha256=hash_ids(diff.repair_ids),
        tokens=len(diff.completion_ids),
        masks=compared,
        hunks=hunks,
        keys=keys,
        known=known,
    )


def plan_hunks(diff: PairDiff, config: ValueConfig) -> list[PlannedHunk | None]:
    """Say for each hunk where its values are taken."""
    hunks: list[PlannedHunk | None] = []
    for hunk, marked in zip(diff.hunks, diff.marked, strict=True):
        if not marked:
            hunks.append(None)
            continue
        first = config.repaired == "all" or not any(hunks)
        end = hunk.right_tokens.end if first else None
        hunks.append(PlannedHunk(min(marked), max(marked) + 1, end))
    return hunks


def list_places(
    masks: Iterable[NDArray[np.bool_]], hunks: Iterable[PlannedHunk | None]
) -> list[Place]:
    """List where values are needed: the start, the ends of all runs of the masks, the hunks."""
    places: set[Place] = {("wrong", 0)}
    for mask in masks:
        padded = np.concatenate(([False], mask, [False]))
        places |= {("wrong", int(i)) for i in np.flatnonzero(padded[1:] != padded[:-1])}
    for hunk in hunks:
        if hunk is not None:
            places |= {("wrong", hunk.start), ("wrong", hunk.end)}
            if hunk.repaired is not None:
                places.add(("repair", hunk.repaired))
    return sorted(places)


def name_prefix(prompt_id: str, ids: Sequence[int] | NDArray[np.int32]) -> str:
    """Name a prefix of a prompt's answers."""
    return f"{prompt_id}/{hash_ids(ids)}"


def find_unwritten(tokenizer: TextTokenizer, ids: Sequence[int]) -> str | None:
    """Say why a text cannot stand for ids, which is what a server is given; None where it can."""
    special = np.flatnonzero(tokenizer.is_special(ids))
    if len(special):
        return f"token {int(special[0])} shows in no text, and a server is given text"
    if "\ufffd" in tokenizer.decode(ids):
        return "it ends within a character, and a server is given text"
    return None


def _check_room(
    sides: Mapping[Side, NDArray[np.int32]], places: Iterable[Place], max_tokens: int
) -> None:
    """Refuse what leaves continuations no room to end: they would be wrong for their length alone.

    Raises:
        RowError: `answer_over_length`.
    """
    longest = len(sides["wrong"])
    for side, index in places:
        if index < len(sides[side]):
            longest = max(longest, index + 1)
    if longest > max_tokens:
        raise RowError(
            "answer_over_length",
            f"continuations would need {longest:,} tokens with what is given, and answers end at "
            f"{max_tokens:,}: set value.max_tokens to what the answers were allowed.",
            {"tokens": longest, "max_tokens": max_tokens},
        )


def _add(plan: Plan, prompt_id: str, ids: NDArray[np.int32]) -> str:
    key = name_prefix(prompt_id, ids)
    if key not in plan.prefixes:
        plan.prefixes[key] = tuple(ids.tolist())
        plan.keys.setdefault(prompt_id, []).append(key)
    return key
