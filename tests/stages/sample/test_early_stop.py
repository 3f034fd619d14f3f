"""Groups that are decided early."""

from __future__ import annotations

import pytest

from dfgen.stages.sample.early_stop import find_decided, refuse_decided


@pytest.mark.parametrize(
    ("verdicts", "decided"),
    [
        ([True, True], {"p": True}),
        ([False, False], {"p": False}),
        ([True, False], {}),
        ([True, None], {}),
        ([None, None], {}),
        ([False, False, True], {"p": False}),
    ],
)
def test_only_the_first_samples_decide(
    verdicts: list[bool | None], decided: dict[str, bool]
) -> None:
    right = {f"p-{i}": verdict for i, verdict in enumerate(verdicts) if verdict is not None}
    assert find_decided(["p"], 2, right) == decided


def test_one_sample_can_decide() -> None:
    assert find_decided(["a", "b"], 1, {"a-0": True}) == {"a": True}


def test_a_cell_that_is_not_drawn_says_why() -> None:
    reject = refuse_decided("p", 5, 2, True)
    assert (reject.stage, reject.row_id, reject.prompt_id) == ("sample", "p-5", "p")
    assert reject.reason == "group_decided" and "first 2" in reject.detail
    assert reject.evidence == '{"first": 2, "right": true}'
