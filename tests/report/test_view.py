from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.report.picking import pick_trajectories
from dfgen.report.samples import gather_samples
from dfgen.report.view import View, build_view
from dfgen.store.finished import open_finished
from tests.report.hostile import make_mask_row

WORDS = (
    *("Step 1: ", "I see ", "3", "4", " cats", ".\n", "\n\n", " so ", "x = 2.", "  "),
    *("é", "日本", "🙂"),
)


def join_wrong(view: View) -> str:
    return "".join(token.text for step in view.steps for token in step.tokens)


def join_right(view: View) -> str:
    return "".join(piece.text for step in view.steps for piece in step.pieces)


@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=25).map("".join),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=25).map("".join),
)
def test_both_sides_are_complete_and_every_mark_is_shown(wrong: str, right: str) -> None:
    row = make_mask_row(wrong, right)
    view = build_view(row)
    assert join_wrong(view) == row["completion"]
    assert join_right(view) == row["repair"]
    assert view.length == len(row["completion_ids"])
    assert view.masked == sum(row["loss_mask"])
    assert sum(len(step.gaps) for step in view.steps) == sum(row["gap_mask"])
    assert [token.index for step in view.steps for token in step.tokens] == list(range(view.length))
    changed = [piece for step in view.steps for piece in step.pieces if piece.hunk is not None]
    assert {piece.hunk for piece in changed} == {
        number for number, hunk in enumerate(view.hunks) if hunk["right_text"]
    }
    written = "".join(hunk["right_text"] for hunk in view.hunks)
    assert "".join(piece.text for piece in changed) == written


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=25).map("".join))
def test_equal_sides_have_no_marks(text: str) -> None:
    view = build_view(make_mask_row(text, text))
    assert not view.hunks
    assert not any(token.op for step in view.steps for token in step.tokens)
    for step in view.steps:
        wrong = "".join(token.text for token in step.tokens)
        assert wrong == "".join(piece.text for piece in step.pieces)


def test_steps_of_both_sides_stand_beside_each_other() -> None:
    wrong = "Step 1: I see 3 cats.\nStep 2: I see 2 dogs.\nStep 3: 3 + 2 = 5.\n"
    right = "Step 1: I see 4 cats.\nStep 2: I see 2 dogs.\nStep 3: 4 + 2 = 6.\n"
    view = build_view(make_mask_row(wrong, right))
    sides = ["".join(piece.text for piece in step.pieces) for step in view.steps]
    assert sides == [line + "\n" for line in right.splitlines()]
    assert [step.role for step in view.steps] == ["first", "unchanged", "consequence"]


def test_a_missing_step_is_a_gap_in_the_step_that_lacks_it() -> None:
    wrong = "I see 3 cats.\nSo the answer is 3."
    right = "I see 3 cats.\nNo, one of them is a dog.\nSo the answer is 2."
    view = build_view(make_mask_row(wrong, right))
    gaps = [hunk for step in view.steps for hunks in step.gaps.values() for hunk in hunks]
    assert any("dog" in view.hunks[hunk]["right_text"] for hunk in gaps)


def test_a_changed_character_of_several_tokens_is_shown_as_changed() -> None:
    view = build_view(make_mask_row("a 🙂 b", "a 🙃 b"))
    marked = "".join(token.text for step in view.steps for token in step.tokens if token.op)
    assert "🙂" in marked


def test_special_tokens_are_invisible_but_counted(sample_run) -> None:
    finished = open_finished(sample_run)
    for sample in gather_samples(finished, pick_trajectories(finished.run, 100)):
        view = build_view(sample.mask)
        assert join_wrong(view) == sample.mask["completion"]
        if sample.mask["finish_reason"] == "stop":
            assert view.steps[-1].tokens[-1].text == ""


@pytest.mark.parametrize("logprob", [None, float("nan")])
def test_an_unknown_probability_is_not_zero(logprob: float | None) -> None:
    row = make_mask_row("I see 3.", "I see 4.")
    row["logprobs"] = [logprob] * len(row["completion_ids"])
    assert build_view(row).steps[0].tokens[0].probability is None


def test_a_probability_never_exceeds_one() -> None:
    row = make_mask_row("I see 3.", "I see 4.")
    row["logprobs"] = [1e-7] * len(row["completion_ids"])
    assert build_view(row).steps[0].tokens[0].probability == 1.0
