"""Makes mask rows of trajectories and their repairs: the mask stage without files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dfgen.config.grade import UndecidedPolicy
from dfgen.config.mask import MaskConfig
from dfgen.diff.marks import find_step_ids
from dfgen.diff.pair import PairDiff, diff_pair
from dfgen.diff.tokenised import read_side
from dfgen.errors import InvalidDataError, RowError
from dfgen.records import HunkValue, Mask, Quality, Reject, Repair, Trajectory, is_right
from dfgen.stages.mask.weights import read_edits, weigh_tokens, weigh_values
from dfgen.stages.score.planning import hash_ids

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dfgen.tokens.tokenizer import TextTokenizer


#: Makes a mask of which everything is known. Left for the moment at which the row is written,
#: because lists of Python's numbers are ten times as large as the arrays they are made of.
MaskMaker = Callable[[], Mask]


#: What side tables, and the source itself (`mask.metadata`), say of trajectories: values of a
#: mask's columns by trajectory_id and column.
Sides = dict[str, dict[str, Any]]

FOLDED = frozenset(Mask.model_fields) - frozenset(Trajectory.model_fields)
"""Columns of a mask that a side table may fill: those that are not the trajectory's own."""

DIGESTS = ("ids_sha256", "repair_ids_sha256")
"""Columns by which a side table says of which tokens it speaks; in `Sides` as `STAGE.COLUMN`."""

OF_REPAIR = frozenset({"repair_ids", "repair_logprobs", "repair_tempered_logprobs"})
"""Of these, those with a value for each token of the repair."""

PER_TOKEN = OF_REPAIR | {
    "scored_logprobs",
    "tempered_logprobs",
    "visual_kl",
    "visual_log_ratio",
    "weights",
}
"""Of these, those with a value for each token of the repair or else of the completion."""


def prepare_masks(
    trajectories: Iterable[Trajectory],
    repairs: Mapping[str, Repair],
    tokenizer: TextTokenizer,
    config: MaskConfig,
    sides: Sides | None = None,
    undecided: UndecidedPolicy = "drop",
) -> Iterator[MaskMaker | Reject]:
    """Prepare one mask (or reject) per trajectory, in order.

    Args:
        trajectories: graded; right ones too, since a trainer needs the whole group.
        repairs: accepted repairs by trajectory id.
        tokenizer: the policy's own.
        config: refinements of the alignment, and what trajectories without a repair get.
        sides: what later stages found out about trajectories and their repairs.
        undecided: what becomes of trajectories whose answer could not be read.
    """
    for trajectory in trajectories:
        repair = repairs.get(trajectory.trajectory_id)
        told = (sides or {}).get(trajectory.trajectory_id, {})
        digests = {name: told[name] for name in told if name.endswith(DIGESTS)}
        said = {name: told[name] for name in told if name not in digests}
        check_digests(digests, trajectory.trajectory_id, "ids_sha256", trajectory.completion_ids)
        try:
            if repair is not None:
                make = prepare_repaired(trajectory, repair, tokenizer, config, said, digests)
            else:
                make = prepare_unrepaired(trajectory, tokenizer, config, undecided)
            yield partial(_fold_in, make, said) if said else make
        except RowError as error:
            yield Reject.from_error("mask", trajectory.trajectory_id, trajectory.prompt_id, error)


def prepare_repaired(
    trajectory: Trajectory,
    repair: Repair,
    tokenizer: TextTokenizer,
    config: MaskConfig,
    said: Mapping[str, Any] | None = None,
    digests: Mapping[str, str] | None = None,
) -> MaskMaker:
    """Gate the gradient to what the repair changed.

    Args:
        trajectory: a wrong one.
        repair: of it.
        tokenizer, config: see `prepare_masks`.
        said: what side tables say of it: of `repair_logprobs` and `hunk_values` weights are made.
        digests: of the tokens of which they speak.

    Raises:
        RowError: the token ids and the text do not belong together, or the repair leaves nothing to
            learn from (`mask_empty`).
        InvalidDataError: a side table speaks of another repair.
    """
    diff = diff_pair(
        trajectory.completion,
        repair.repair,
        tokenizer,
        config,
        completion_ids=trajectory.completion_ids,
        edits=read_edits(repair),
    )
    check_marked(diff, config)
    scored = (said or {}).get("repair_logprobs")
    if said:
        check_side(said, trajectory.trajectory_id, diff.completion_ids, diff.repair_ids)
        check_hunk_values(said, trajectory.trajectory_id, diff)
    key = trajectory.trajectory_id
    check_digests(digests or {}, key, "repair_ids_sha256", diff.repair_ids)
    weights = weigh_tokens(diff, repair, trajectory, tokenizer, config, scored)
    weights = weigh_values(diff, said or {}, weights, config)
    diff = replace(diff, weights=weights)
    return partial(build_mask, _identity(trajectory), diff, repair.answer_only)


def check_marked(diff: PairDiff, config: MaskConfig) -> None:
    """Refuse a repair that says something else and marks nothing, unless `mask.empty` keeps it.

    Two equal texts are no such pair: they say that nothing is wrong, and their row says so, too.

    Raises:
        RowError: `mask_empty`.
    """
    if config.empty == "reject" and diff.completion != diff.repair:
        diff.check_not_empty()


def build_mask(identity: Mapping[str, Any], diff: PairDiff, answer_only: bool) -> Mask:
    """Build the mask row of a difference.

    Args:
        identity: the columns that say which trajectory it is.
        diff: of the trajectory and its repair.
        answer_only: whether the repair changed only the final answer.
    """
    # Not validated, which takes as long as a third of the difference itself: every value was made
    # here or validated on its way in, and Arrow checks the types as the row is written.
    return Mask.model_construct(
        **identity,
        mask_source="repair",
        loss_mask=diff.loss_mask.tolist(),
        token_ops=diff.token_ops.tolist(),
        gap_mask=diff.gap_mask.tolist(),
        repair=diff.repair,
        repair_ids=diff.repair_ids.tolist(),
        repair_mask=diff.repair_mask.tolist(),
        repair_logprobs=None,
        token_bytes=diff.token_bytes.tolist(),
        step_ids=diff.step_ids.tolist(),
        step_labels=diff.step_labels.tolist(),
        step_changed=diff.step_changed.tolist(),
        step_roles=list(diff.step_roles),
        first_error_step=diff.first_error_step,
        weights=None if diff.weights is None else diff.weights.tolist(),
        hunks=json.dumps([hunk.to_json() for hunk in diff.hunks], ensure_ascii=False),
        quality=Quality(
            edit_ratio=diff.quality.edit_ratio,
            step_edit_ratio=diff.quality.step_edit_ratio,
            n_hunks=diff.quality.n_hunks,
            ambiguous=diff.quality.ambiguous,
            approximate=diff.quality.approximate,
            format_only_share=diff.quality.format_only_share,
            answer_only=answer_only,
        ),
        undecided=None,
    )


def prepare_unrepaired(
    trajectory: Trajectory,
    tokenizer: TextTokenizer,
    config: MaskConfig,
    undecided: UndecidedPolicy = "drop",
) -> MaskMaker:
    """Mark a trajectory without a repair: everything or nothing, as configured.

    Raises:
        RowError: the token ids and the text do not belong together, or the row is configured to
            be dropped (`outcome_dropped`, `undecided`).
    """
    unread = bool(trajectory.verdict.undecided) and undecided != "wrong"
    if unread and undecided == "drop":
        why = trajectory.verdict.detail.rstrip(".")
        raise RowError(
            "undecided",
            f"nobody knows whether it is right: {why}. Set grade.undecided to keep for a row "
            "without loss, to wrong for one like any wrong answer.",
            {"grader": trajectory.verdict.grader, "extracted": trajectory.verdict.extracted},
        )
    source: Literal["correct", "outcome"] = "correct" if is_right(trajectory.reward) else "outcome"
    policy = config.correct if source == "correct" else config.outcome
    if unread:
        policy = "none"
    if policy == "drop":
        raise RowError("outcome_dropped", "mask.outcome is set to drop.")
    side = read_side(
        trajectory.completion_ids, tokenizer, canonical=True, atoms=False, steps=config.steps
    )
    if side.text != trajectory.completion:
        raise RowError("text_differs", "decoding the token ids does not give the completion.")
    token_bytes, step_ids = side.edges, find_step_ids(side)
    return lambda: Mask(
        **_identity(trajectory),
        mask_source=source,
        loss_mask=[policy == "all"] * len(trajectory.completion_ids),
        token_ops=None,
        gap_mask=None,
        repair=None,
        repair_ids=None,
        repair_mask=None,
        repair_logprobs=None,
        token_bytes=token_bytes.tolist(),
        step_ids=step_ids.tolist(),
        step_labels=None,
        step_changed=None,
        step_roles=None,
        first_error_step=None,
        weights=None,
        hunks=None,
        quality=None,
        undecided=True if unread else None,
    )


def check_side(
    said: Mapping[str, Any],
    trajectory_id: str,
    completion_ids: Sequence[int] | NDArray[np.int32],
    repair_ids: Sequence[int] | NDArray[np.int32] | None,
) -> None:
    """Check that what side tables say of a trajectory fits its tokens and those of its repair.

    Raises:
        InvalidDataError: another number of values, or other ids.
    """
    hint = (
        "The side table belongs to other rows: `dfgen run RUN --redo score` (or `value`) makes it "
        "anew."
    )
    repaired = None if repair_ids is None else len(repair_ids)
    for name, value in said.items():
        length = repaired if name in OF_REPAIR else len(completion_ids)
        if name in PER_TOKEN and len(value) != length:
            raise InvalidDataError(
                f"{name} of {trajectory_id} has {len(value)} values in a side table, and the mask "
                f"has place for {length}.",
                hint=hint,
            )
    if "repair_ids" in said and not np.array_equal(said["repair_ids"], repair_ids):  # type: ignore[arg-type]
        raise InvalidDataError(
            f"what a side table says of {trajectory_id} is about another repair than its mask's.",
            hint=hint,
        )


def check_digests(
    digests: Mapping[str, str],
    trajectory_id: str,
    column: str,
    ids: Sequence[int] | NDArray[np.int32],
) -> None:
    """Check that side tables speak of these tokens, and not of those of another run's answer.

    Args:
        digests: by `STAGE.COLUMN`; those of other columns are left alone.

    Raises:
        InvalidDataError: names the stage and how its table is made anew.
    """
    for name, digest in digests.items():
        stage, _, about = name.partition(".")
        if about == column and digest != hash_ids(ids):
            what = "answer" if column == "ids_sha256" else "repair"
            raise InvalidDataError(
                f"the table of stage {stage} speaks of another {what} than that of "
                f"{trajectory_id}.",
                hint="Its files are of another run: put the right ones back, or have them made "
                f"anew: `dfgen run RUN --redo {stage}`.",
            )


def check_hunk_values(said: Mapping[str, Any], trajectory_id: str, diff: PairDiff) -> None:
    """Check that the values of hunks are those of the hunks of this difference.

    Raises:
        InvalidDataError: they are of others: the mask's settings are not what they were.
    """
    if "hunk_values" not in said:
        return
    spans = [(min(marked), max(marked) + 1) if marked else (None, None) for marked in diff.marked]
    if spans != [(value["start"], value["end"]) for value in said["hunk_values"]]:
        raise InvalidDataError(
            f"the values of {trajectory_id} in a side table are of other hunks than its mask's.",
            hint="The settings of the mask have changed since: `dfgen value RUN --redo value` "
            "makes them anew.",
        )


def _fold_in(make: MaskMaker, said: Mapping[str, Any]) -> Mask:
    """Make a mask and take over what side tables say of its trajectory."""
    mask = make()
    if mask.repair_ids is None:  # else it was checked before weights were made of it
        check_side(said, mask.trajectory_id, mask.completion_ids, None)
    for name, value in said.items():
        setattr(mask, name, value)
    if mask.hunk_values is not None:
        mask.hunk_values = [HunkValue.model_validate(value) for value in said["hunk_values"]]
    return mask


def _identity(trajectory: Trajectory) -> dict[str, Any]:
    names = (
        "trajectory_id",
        "prompt_id",
        "sample_index",
        "completion",
        "completion_ids",
        "ids_source",
        "logprobs",
        "finish_reason",
        "reward",
        "source_id",
    )
    return {name: getattr(trajectory, name) for name in names}
