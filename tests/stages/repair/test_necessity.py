"""Hunks taken back: which place is looked at, who decides, and what is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.mask import MaskConfig
from dfgen.config.repair import RepairConfig
from dfgen.demo import locate_model
from dfgen.diff.pair import diff_pair
from dfgen.diff.spans import Span
from dfgen.records import Attempt, Necessity, Repair, VerdictInfo
from dfgen.stages.repair.compare import Accepted, copy_repair
from dfgen.stages.repair.necessity import (
    NecessityCount,
    is_changed_at,
    record_verdicts,
    settle,
    take_back,
)
from dfgen.stages.repair.plan import History, count_later, count_rounds, plan_next
from dfgen.tokens.loading import load_tokenizer
from dfgen.tokens.tokenizer import TextTokenizer
from tests.stages.mask.test_weights import make_entry, make_repair
from tests.stages.repair.test_select import attempt, make

WRONG = "I see 3 red circles. There are 2 blue squares. So 3 + 2 = 5.\nAnswer: 5"
RIGHT = "I see 4 red circles. There are 2 blue squares. So 4 + 2 = 6.\nAnswer: 6"
MODEL = RepairConfig(necessity="model", unneeded_weight=0.25)


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return load_tokenizer(str(locate_model("policy")), None)


def test_each_hunk_alone_is_taken_back(tokenizer: TextTokenizer) -> None:
    hunks = diff_pair(WRONG, RIGHT, tokenizer, MaskConfig()).hunks
    assert len(hunks) == 4
    for hunk in hunks:
        text, place = take_back(WRONG, RIGHT, hunk.wrong_bytes, hunk.right_bytes)
        assert text.encode()[slice(*place)].decode() == hunk.wrong_text
        left = diff_pair(WRONG, text, tokenizer, MaskConfig()).hunks
        assert len(left) == len(hunks) - 1


@given(st.text(max_size=30), st.text(max_size=8), st.text(max_size=8), st.text(max_size=30))
def test_taking_back_the_only_hunk_gives_the_trajectory(
    before: str, wrong: str, right: str, after: str
) -> None:
    start = len(before.encode())
    spans = Span(start, start + len(wrong.encode())), Span(start, start + len(right.encode()))
    text, place = take_back(before + wrong + after, before + right + after, *spans)
    assert text == before + wrong + after
    assert place == spans[0]


@pytest.mark.parametrize(
    ("answer", "changed"),
    [
        (RIGHT, True),
        ("I see 7 red circles. There are 2 blue squares. So 4 + 2 = 6.\nAnswer: 6", True),
        # Changed elsewhere only, to agree with what was taken back.
        (WRONG, False),
        ("I see 3 red circles. There are 1 blue squares. So 4 + 2 = 6.\nAnswer: 6", False),
        # Only the form.
        ("I see  3 red circles. There are 2 blue squares. So 4 + 2 = 6.\nAnswer: 6", False),
    ],
)
def test_only_the_place_counts(answer: str, changed: bool, tokenizer: TextTokenizer) -> None:
    text = RIGHT.replace("see 4", "see 3")
    hunks = diff_pair(text, answer, tokenizer, MaskConfig()).hunks
    assert is_changed_at(hunks, Span(6, 7)) is changed


def test_an_insertion_that_was_taken_back_has_a_place_too(tokenizer: TextTokenizer) -> None:
    repair = RIGHT.replace("So 4", "One more is hidden. So 4")
    [hunk] = diff_pair(RIGHT, repair, tokenizer, MaskConfig()).hunks
    text, place = take_back(RIGHT, repair, hunk.wrong_bytes, hunk.right_bytes)
    assert text == RIGHT and place.start == place.end
    again = diff_pair(text, repair, tokenizer, MaskConfig()).hunks
    assert is_changed_at(again, place)
    other = diff_pair(text, text.replace("see 4", "see 9"), tokenizer, MaskConfig()).hunks
    assert not is_changed_at(other, place)


def make_accepted(right_without: list[bool], tokenizer: TextTokenizer, ratio: float = 0.1) -> Any:
    hunks = diff_pair(WRONG, RIGHT, tokenizer, MaskConfig()).hunks[: len(right_without)]
    verdict = VerdictInfo(
        correct=True, grader="auto", extracted="6", expected="6", method="", detail=""
    )
    return Accepted(
        text=RIGHT,
        edits=None,
        reward=1.0,
        verdict=verdict,
        edit_ratio=ratio,
        step_edit_ratio=0.5,
        answer_only=False,
        necessity=record_verdicts(hunks, right_without, 0.25),
    )


def make_history(tokenizer: TextTokenizer, *tests: Attempt) -> History:
    history = History()
    history.add("repair", attempt(0, "accepted"), make_accepted([True, True, False], tokenizer))
    for test in tests:
        history.add("necessity", test, None)
    return history


def test_only_what_the_grader_lets_pass_is_asked_about_and_only_once(
    tokenizer: TextTokenizer,
) -> None:
    plan = plan_next(make_history(tokenizer), MODEL)
    assert (plan.purpose, plan.indices) == ("necessity", (0, 1))
    # An answer that decides nothing is an answer.
    plan = plan_next(make_history(tokenizer, attempt(0, "unreadable")), MODEL)
    assert plan.indices == (1,)
    done = make_history(tokenizer, attempt(0, "needed"), attempt(1, "unneeded"))
    assert plan_next(done, MODEL).indices == ()
    assert plan_next(done.without_texts(), MODEL).indices == ()
    grade = MODEL.model_copy(update={"necessity": "grade"})
    assert plan_next(make_history(tokenizer), grade).indices == ()


def test_tests_wait_for_the_attempts_and_are_about_the_smallest(tokenizer: TextTokenizer) -> None:
    config = MODEL.model_copy(update={"candidates": 2})
    history = History()
    history.add("repair", attempt(0, "accepted"), make_accepted([True, True], tokenizer, 0.2))
    assert plan_next(history, config).purpose == "repair"
    history.add("repair", attempt(1, "accepted"), make_accepted([False, True], tokenizer, 0.1))
    assert plan_next(history, config).indices == (1,)


def test_a_limit_takes_the_first_hunks(tokenizer: TextTokenizer) -> None:
    config = MODEL.model_copy(update={"necessity_tests": 1})
    assert plan_next(make_history(tokenizer), config).indices == (0,)
    assert plan_next(make_history(tokenizer, attempt(0, "needed")), config).indices == ()


def test_one_round_of_tests_follows_the_last_attempts(tokenizer: TextTokenizer) -> None:
    assert count_rounds(RepairConfig(max_attempts=3)) == 3
    assert count_rounds(MODEL) == MODEL.max_attempts + 1
    plan = plan_next(make_history(tokenizer), MODEL)
    assert all(plan.fits_round(number, MODEL) for number in range(count_rounds(MODEL)))


def test_what_may_follow_is_counted() -> None:
    config = MODEL.model_copy(update={"candidates": 2, "max_attempts": 3, "necessity_tests": 5})
    first = plan_next(History(), config)
    assert (len(first.indices), count_later(first, config)) == (2, 4 + 5)
    half = plan_next(History([attempt(0), attempt(1), attempt(3)]), config)
    assert (half.indices, count_later(half, config)) == ((2,), 2 + 5)
    off = config.model_copy(update={"necessity": "off"})
    assert count_later(first, off) == 4


VERDICTS = [
    ("needed", True, 1.0, "model"),
    ("unneeded", False, 0.25, "model"),
    ("unreadable", False, 0.25, "grader"),
    ("not_finished", False, 0.25, "grader"),
    ("rate_limited", False, 0.25, "grader"),
]


@pytest.mark.parametrize(("reason", "needed", "weight", "judge"), VERDICTS)
def test_the_repairer_decides_where_it_can(
    reason: str, needed: bool, weight: float, judge: str, tokenizer: TextTokenizer
) -> None:
    found = make_accepted([True, False], tokenizer).necessity
    test = attempt(0, reason)
    settled = settle(found, {0: test}, MODEL)
    assert settled is not None
    assert (settled[0].needed, settled[0].weight, settled[0].decided_by) == (needed, weight, judge)
    assert settled[0].attempt == test
    assert settled[1] == found[1]


def test_every_hunk_is_counted_in_one_place() -> None:
    entries = [
        make_entry(0, True, 1.0),
        make_entry(2, False, 0.5),
        make_entry(4, False, 0.5, attempt=paid("cut")),
        make_entry(6, True, 1.0, attempt=paid("needed"), decided_by="model"),
        make_entry(8, False, 0.5, attempt=paid("unneeded"), decided_by="model"),
    ]
    count = NecessityCount()
    repair = make_repair(necessity=entries)
    count.add_row(repair.model_dump())
    count.add_row(repair.model_copy(update={"copy_of": "p-9"}).model_dump())
    assert count == NecessityCount(5, 1, 1, 1, 1, 1, {"cut": 1}, 3, 30, 6, pytest.approx(0.3))


def paid(reason: str) -> Attempt:
    spent = {"prompt_tokens": 10, "completion_tokens": 2, "cost_usd": 0.1}
    return attempt(0, reason).model_copy(update=spent)


def test_a_copy_has_the_verdicts_and_not_the_bill(tokenizer: TextTokenizer) -> None:
    entry = make_entry(6, True, 1.0, attempt=paid("needed"), decided_by="model")
    repair: Repair = make_repair(repair=RIGHT, necessity=[entry])
    row = make("p-1", WRONG, completion_ids=tokenizer.encode(WRONG))
    copy = copy_repair(row, repair, tokenizer, MaskConfig())
    assert copy.necessity == [entry.model_copy(update={"attempt": None})]
    assert repair.necessity == [entry]


def test_the_record_says_who_decided() -> None:
    entry = Necessity(start=0, end=1, repair_start=0, repair_end=1, needed=False, weight=0.5)
    assert (entry.decided_by, entry.attempt) == ("grader", None)
