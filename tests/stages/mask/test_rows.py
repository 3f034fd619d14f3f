"""Rows of the mask stage are made without validation; they must pass it all the same."""

from __future__ import annotations

from typing import Any

import pytest

from dfgen.config.mask import MaskConfig
from dfgen.records import Mask, Reject, Repair, Trajectory
from dfgen.stages.mask.rows import prepare_masks
from tests.store import examples
from tests.support.small_tokenizers import byte_level_bpe

WRONG = "I see 3 red circles. I see 2 blue squares. Answer: 5"
RIGHT = "I see 4 red circles. I see 2 blue squares. Answer: 6"
OTHER = "I see 4 red circles. I see 2 blue triangles. Answer: 6"
IDS = byte_level_bpe().encode(WRONG)


def make_trajectory(**changes: Any) -> Trajectory:
    values = {"completion": WRONG, "completion_ids": IDS, "logprobs": [-0.5] * len(IDS)}
    return examples.make_trajectory("p", 0).model_copy(update={**values, **changes})


def make_repair(**changes: Any) -> Repair:
    return examples.make_repair("p", 0).model_copy(update={"repair": RIGHT, **changes})


def run(trajectory: Trajectory, repair: Repair | None, **switches: Any) -> Mask | Reject:
    repairs = {} if repair is None else {trajectory.trajectory_id: repair}
    (made,) = prepare_masks([trajectory], repairs, byte_level_bpe(), MaskConfig(**switches))
    return made if isinstance(made, Reject) else made()


@pytest.mark.parametrize(
    ("repair", "source"),
    [
        (make_repair(), "repair"),
        (make_repair(alternatives=[OTHER]), "repair"),
        (make_repair(repair=WRONG), "repair"),
        (None, "outcome"),
    ],
    ids=["plain", "alternatives", "nothing changed", "no repair"],
)
@pytest.mark.parametrize("weight", [None, 0.5])
def test_rows_are_what_the_record_says(
    repair: Repair | None, source: str, weight: float | None
) -> None:
    row = run(make_trajectory(), repair, consequence_weight=weight)
    assert isinstance(row, Mask)
    assert row.mask_source == source
    # Strictly: no value is converted, no column is missing, none is one too many.
    assert Mask.model_validate(row.model_dump(), strict=True) == row


def test_ids_of_another_text_are_rejected_before_a_row_is_made() -> None:
    trajectory = make_trajectory(completion=WRONG + "!")
    rows = [run(trajectory, make_repair()), run(trajectory, None)]
    reasons = [row.reason for row in rows if isinstance(row, Reject)]
    assert reasons == ["completion_mismatch", "text_differs"]


def test_an_outcome_can_be_dropped() -> None:
    row = run(make_trajectory(), None, outcome="drop")
    assert isinstance(row, Reject)
    assert row.reason == "outcome_dropped"
