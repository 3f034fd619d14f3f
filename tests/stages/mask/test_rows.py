"""Rows of the mask stage are made without validation; they must pass it all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dfgen.config.mask import MaskConfig
from dfgen.records import Mask, Reject, Repair, Trajectory
from dfgen.stages.mask.rows import prepare_masks
from dfgen.validate.masks import check_mask
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


class TestEmpty:
    """Accepted repairs that mark nothing: only form, or an insertion that has no anchor."""

    FORM = WRONG.replace("I see 2", "I  see 2")

    def test_they_are_rejected_with_the_reason(self) -> None:
        row = run(make_trajectory(), make_repair(repair=self.FORM))
        assert isinstance(row, Reject)
        assert (row.stage, row.reason) == ("mask", "mask_empty")
        assert json.loads(row.evidence)["format"] == 1

    def test_they_can_be_kept(self) -> None:
        row = run(make_trajectory(), make_repair(repair=self.FORM), empty="keep")
        assert isinstance(row, Mask)
        assert row.mask_source == "repair"
        assert not any(row.loss_mask)
        assert list(check_mask(row.model_dump(), byte_level_bpe())) == []

    def test_an_insertion_without_an_anchor(self) -> None:
        longer = WRONG.replace("2 blue", "2 dark blue")
        for anchor, kind in (("none", Reject), ("next", Mask)):
            row = run(make_trajectory(), make_repair(repair=longer), insertion_anchor=anchor)
            assert isinstance(row, kind)

    def test_equal_texts_say_that_nothing_is_wrong(self) -> None:
        row = run(make_trajectory(), make_repair(repair=WRONG))
        assert isinstance(row, Mask)
        assert not any(row.loss_mask)
