"""A privileged context says what was wrong where; shown up to an edit it never holds the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.diff.pair import PairDiff, diff_pair
from dfgen.export.choices import WHOLE, Choices
from dfgen.export.exporting import export_tables
from dfgen.export.privileged import list_forms, write_context
from dfgen.export.tables.stepwise import cut_text
from dfgen.stages.repair.leak import count_safe_edits, find_equal
from dfgen.store.finished import FinishedRun, open_finished
from dfgen.tokens.loading import load_tokenizer
from dfgen.tokens.tokenizer import TextTokenizer
from tests.support.sample_run import make_run

WRONG = "Step 1: I see 4 cats.\nStep 2: I see 2 dogs.\nStep 3: 4 + 2 = 6.\nAnswer: 6"
RIGHT = "Step 1: I see 3 cats.\nStep 2: I see 2 dogs.\nStep 3: 3 + 2 = 5.\nAnswer: 5"


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return load_tokenizer("demo:policy")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return open_finished(make_run(tmp_path_factory.mktemp("run") / "run", prompts=40, samples=3))


def write(finished: FinishedRun, out: Path, reveal: int | None) -> list[dict[str, Any]]:
    choices = Choices(reveal=reveal)
    manifest = export_tables(finished, ["privileged"], out, flat=True, choices=choices)
    (file,) = manifest.tables["privileged"].files
    return pq.read_table(out / file.path).to_pylist()


def as_hunks(diff: PairDiff, reason: str | None = None) -> list[dict[str, Any]]:
    return [
        {
            "in_mask": hunk.in_mask,
            "right_bytes": list(hunk.right_bytes),
            "wrong_text": hunk.wrong_text,
            "right_text": hunk.right_text,
            "wrong_step": hunk.wrong_step,
            "reason": reason,
        }
        for hunk in diff.hunks
    ]


def context_of(
    tokenizer: TextTokenizer, answer: str, reveal: int, reason: str | None = None
) -> Any:
    diff = diff_pair(WRONG, RIGHT, tokenizer)
    steps = cut_text(WRONG, diff.token_bytes.tolist(), diff.step_ids.tolist())
    return write_context(WRONG, RIGHT, as_hunks(diff, reason), steps, [answer], reveal)


def test_the_whole_repair_with_every_mistake(tokenizer: TextTokenizer) -> None:
    context = context_of(tokenizer, "5", WHOLE, "Only three are cats.")
    assert (context.revealed, context.mistakes) == (4, 4)
    assert context.shown == RIGHT
    assert 'In "Step 1: I see 4 cats.": "4" should be "3". Only three are cats.' in context.text
    assert context.text.endswith(RIGHT)


@pytest.mark.parametrize(("reveal", "revealed"), [(1, 1), (2, 2), (3, 2), (99, 2)])
def test_shown_up_to_an_edit_the_answer_is_not_there(
    tokenizer: TextTokenizer, reveal: int, revealed: int
) -> None:
    context = context_of(tokenizer, "5", reveal)
    assert (context.revealed, context.mistakes) == (revealed, 4)
    assert RIGHT.startswith(context.shown)
    assert not find_equal(context.text, "5")


@pytest.mark.parametrize("answer", ["3", "3.0", "three", "6/2"])
def test_an_edit_that_states_the_answer_is_not_shown(tokenizer: TextTokenizer, answer: str) -> None:
    context = context_of(tokenizer, answer, 1)
    assert (context.revealed, context.shown) == (0, "")
    assert 'In "Step 1: I see 4 cats.": something is wrong here.' in context.text
    assert "3 cats" not in context.text


def test_a_reason_that_states_the_answer_is_not_shown(tokenizer: TextTokenizer) -> None:
    assert "should be 5" not in context_of(tokenizer, "5", 1, "In the end it should be 5.").text
    assert "should be 5" in context_of(tokenizer, "5", WHOLE, "In the end it should be 5.").text
    assert "Look again" in context_of(tokenizer, "5", 1, "Look again.").text


def test_edits_of_form_alone_are_no_mistake(tokenizer: TextTokenizer) -> None:
    diff = diff_pair("Step 1: a  b", "Step 1: a b", tokenizer)
    assert write_context("", "", as_hunks(diff), {}, ["5"], WHOLE) is None


def test_forms_of_an_answer() -> None:
    assert list_forms("B", ["cat", "dog"]) == ["B", "dog"]
    assert list_forms("(b)", ["cat", "dog"]) == ["(b)", "dog"]
    assert list_forms("dog", ["cat", "dog"]) == ["dog", "B"]
    assert list_forms("5", []) == ["5"]


@pytest.mark.parametrize(
    ("repair", "edits", "answers", "count"),
    [
        ("It has 3 and 2. Answer: 5", [(7, 8), (24, 25)], ["5"], 1),
        ("It has 5 and 0. Answer: 5", [(7, 8), (24, 25)], ["5"], 0),
        # Only half of the number is new: together with what stood there it is the answer.
        ("It has 15 pens. So it goes. Answer: 15", [(7, 8)], ["15"], 0),
        # A letter says nothing by itself, but as a word in an edit it does.
        ("We see that B fits. So it goes. Answer: B", [(12, 13)], ["B"], 0),
        ("We see a dog there. So it goes. Answer: B", [(9, 12)], ["B", "dog"], 0),
        # Where the answer is stated nothing is shown, whatever is changed there.
        ("It has 3 and 2. Answer: **5**", [(24, 26)], ["5"], 0),
        # A deletion shows nothing, unless where the answer is stated.
        ("It has 3 and 2. Answer: 5", [(6, 6), (20, 20)], ["5"], 1),
        ("", [], ["5"], 0),
    ],
)
def test_edits_that_can_be_shown(
    repair: str, edits: list[tuple[int, int]], answers: list[str], count: int
) -> None:
    assert count_safe_edits(repair, edits, answers) == count


@settings(max_examples=150, deadline=None)
@given(
    wrong=st.tuples(*[st.integers(0, 20)] * 3),
    right=st.tuples(*[st.integers(0, 20)] * 2),
    reveal=st.integers(1, 6),
)
def test_no_shown_edit_states_the_answer(
    tokenizer: TextTokenizer, wrong: tuple[int, ...], right: tuple[int, ...], reveal: int
) -> None:
    a, b, c = wrong
    before = f"Here are {a} cats.\nHere are {b} dogs.\nThat is {a} + {b} = {c}.\nAnswer: {c}"
    a, b = right
    after = f"Here are {a} cats.\nHere are {b} dogs.\nThat is {a} + {b} = {a + b}.\nAnswer: {a + b}"
    diff = diff_pair(before, after, tokenizer)
    steps = cut_text(before, diff.token_bytes.tolist(), diff.step_ids.tolist())
    context = write_context(before, after, as_hunks(diff), steps, [str(a + b)], reveal)
    if context is None:
        assert not any(hunk.in_mask for hunk in diff.hunks)
        return
    assert context.revealed <= reveal
    assert after.startswith(context.shown)
    # What is shown states the answer no more often than the wrong answer, which the student wrote.
    places = [start for start, _ in find_equal(context.shown, str(a + b))]
    edits = [hunk for hunk in diff.hunks if hunk.in_mask][: context.revealed]
    for hunk in edits:
        start, end = hunk.right_bytes
        assert not any(start <= place < end for place in places)


@pytest.mark.parametrize("reveal", [None, 1, 3])
def test_rows_are_the_repaired_answers(
    finished: FinishedRun, tmp_path: Path, reveal: int | None
) -> None:
    rows = write(finished, tmp_path, reveal)
    masks = {row["trajectory_id"]: row for row in finished.run.table("masks").iter_rows()}
    prompts = {row["prompt_id"]: row for row in finished.run.table("prompts").iter_rows()}
    wanted = [
        name
        for name, mask in masks.items()
        if mask["mask_source"] == "repair" and any(h["in_mask"] for h in json.loads(mask["hunks"]))
    ]
    assert [row["trajectory_id"] for row in rows] == wanted
    assert len(rows) > 20
    for row in rows:
        mask, prompt = masks[row["trajectory_id"]], prompts[row["prompt_id"]]
        mistakes = [hunk for hunk in json.loads(mask["hunks"]) if hunk["in_mask"]]
        assert row["mistakes"] == len(mistakes)
        assert row["answer"] == prompt["answer"]
        assert row["images"] == prompt["images"]
        assert row["question"] == prompt["question"]
        assert row["teacher_images"] is None
        assert row["teacher_prompt"] == f"<image>{row['question']}\n\n{row['privileged_context']}"
        assert row["messages"] == [{"role": "user", "content": f"<image>{row['question']}"}]
        assert mask["completion"].strip() in row["privileged_context"]
        assert mask["repair"].startswith(row["golden_answer"])
        if reveal is None:
            assert row["revealed"] == row["mistakes"]
            assert row["golden_answer"] == mask["repair"]
        else:
            assert row["revealed"] <= min(reveal, row["mistakes"])
            shown = mistakes[: row["revealed"]]
            assert not any(find_equal(hunk["right_text"], row["answer"]) for hunk in shown)
            assert not row["golden_answer"].endswith(f"Answer: {row['answer']}")


def test_a_literal_placeholder_is_no_picture(tokenizer: TextTokenizer) -> None:
    wrong, right = "I see <image> 4.\nAnswer: 4", "I see <image> 5.\nAnswer: 5"
    diff = diff_pair(wrong, right, tokenizer)
    context = write_context(wrong, right, as_hunks(diff), {}, ["5"], WHOLE)
    assert context is not None
    assert "<image>" not in context.text + context.shown
    assert "[image]" in context.text
