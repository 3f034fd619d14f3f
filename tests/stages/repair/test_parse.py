"""What a repairer may write, and what dfgen reads in it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.repair import RepairConfig
from dfgen.diff.hunks import RepairerEdit
from dfgen.stages.repair.parse import apply_edits, parse_output

ANSWER = "I see 3 red circles.\nThere are 2 blue squares.\n3 + 2 = 5.\nAnswer: 5"
HUNKS = RepairConfig(protocol="hunks")
REWRITE = RepairConfig(protocol="rewrite")
LOCKED = RepairConfig(protocol="rewrite", prefix_lock=True)


def write(*edits: tuple[str, str], **fields: str) -> str:
    extra = {"reason": "miscounted", "kind": "perception", **fields}
    return json.dumps({"edits": [{"find": a, "replace": b, **extra} for a, b in edits]})


GOOD = write(("see 3", "see 4"), ("3 + 2 = 5", "4 + 2 = 6"), ("Answer: 5", "Answer: 6"))
FIXED = ANSWER.replace("see 3", "see 4").replace("3 + 2 = 5", "4 + 2 = 6").replace(": 5", ": 6")

READ = {
    "plain": GOOD,
    "fenced": f"```json\n{GOOD}\n```",
    "after thinking": f"<think>3? no, {{4}}</think>\n{GOOD}",
    "with talk around": f"Here are the edits:\n{GOOD}\nDone.",
    "bare list": json.dumps(json.loads(GOOD)["edits"]),
    "byte order mark": f"\ufeff{GOOD}",
    "further keys": json.dumps({**json.loads(GOOD), "note": "x"}),
    "no reasons": json.dumps(
        {"edits": [{"find": e["find"], "replace": e["replace"]} for e in json.loads(GOOD)["edits"]]}
    ),
    "in another order": json.dumps({"edits": json.loads(GOOD)["edits"][::-1]}),
    "with an edit that changes nothing": write(
        ("see 3", "see 4"), ("3 + 2 = 5", "4 + 2 = 6"), ("Answer: 5", "Answer: 6"), ("red", "red")
    ),
    "the same edit twice": write(
        ("see 3", "see 4"),
        ("3 + 2 = 5", "4 + 2 = 6"),
        ("Answer: 5", "Answer: 6"),
        ("see 3", "see 4"),
    ),
    "context shared by two edits": write(
        ("I see 3 red", "I see 4 red"), ("3 + 2 = 5.\nAnswer: 5", "4 + 2 = 6.\nAnswer: 6")
    ),
    "line break in a string": '{"edits": [{"find": "I see 3 red circles.\nThere", "replace": '
    '"I see 4 red circles.\nThere"}, {"find": "3 + 2 = 5.\nAnswer: 5", "replace": '
    '"4 + 2 = 6.\nAnswer: 6"}]}',
}


@pytest.mark.parametrize("output", READ.values(), ids=READ.keys())
def test_forms_that_cannot_mean_anything_else_are_read(output: str) -> None:
    proposal = parse_output(output, ANSWER, HUNKS)
    assert (proposal.text, proposal.unreadable, proposal.inapplicable) == (FIXED, None, None)


UNREADABLE = {
    "prose": "I would change 3 to 4.",
    "empty": "",
    "cut off": GOOD[:-20],
    "a number": "42",
    "other shape": '{"changes": []}',
    "edits is text": '{"edits": "none"}',
    "an edit is text": '{"edits": ["x"]}',
    "find is missing": '{"edits": [{"replace": "x"}]}',
    "replace is null": '{"edits": [{"find": "see 3", "replace": null}]}',
    "two objects": f"{GOOD}\n{GOOD}",
    "deeply nested": "[" * 100_000,
    "many braces": "{" * 100_000,
    "lone surrogate": "\ud800",
    "trailing comma": '{"edits": [],}',
}


@pytest.mark.parametrize("output", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_everything_else_is_unreadable(output: str) -> None:
    proposal = parse_output(output, ANSWER, HUNKS)
    assert proposal.unreadable
    assert proposal.text == ""


MISFITS = [
    ([("see 7", "see 4")], "does not occur"),
    ([("3", "4")], "more than once"),
    ([("I  see 3", "I see 4")], "does not occur"),
    ([("", "4")], "is empty"),
    ([("see 3", "see 4"), ("3 red", "5 red")], "same words"),
    ([("I see 3", "I see 4"), ("see 3 red", "see 5 red")], "same words"),
    ([("circles.", "circles. One."), ("circles.\n", "circles. Two.\n")], "same words"),
]


@pytest.mark.parametrize(("edits", "message"), MISFITS)
def test_edits_that_have_not_one_place_do_not_apply(
    edits: list[tuple[str, str]], message: str
) -> None:
    proposal = parse_output(write(*edits), ANSWER, HUNKS)
    assert proposal.text == ""
    assert message in (proposal.inapplicable or "")


def test_overlapping_occurrences_are_two() -> None:
    assert "more than once" in (apply_edits("aaa", [RepairerEdit("aa", "b")])[1] or "")


def test_no_edits_is_the_text_itself() -> None:
    assert parse_output('{"edits": []}', ANSWER, HUNKS).text == ANSWER


@pytest.mark.parametrize(
    ("output", "obeyed"),
    [(GOOD, True), (READ["fenced"], False), (READ["no reasons"], False), ("prose", False)],
)
def test_a_server_that_ignores_the_schema_is_noticed(output: str, obeyed: bool) -> None:
    assert parse_output(output, ANSWER, HUNKS).by_schema is obeyed


@given(st.text(max_size=60), st.data())
def test_edits_of_single_places_give_exactly_the_new_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    new = data.draw(st.text(max_size=10))
    find = text[start:end]
    result, problem = apply_edits(text, [RepairerEdit(find, new)])
    occurrences = sum(text.startswith(find, i) for i in range(len(text))) if find else 0
    if find == new and find:
        assert (result, problem) == (text, None)
    elif occurrences == 1:
        assert (result, problem) == (text[:start] + new + text[end:], None)
    else:
        assert result == ""
        assert problem


REWRITES = [
    (f"<corrected>\n{FIXED}\n</corrected>", FIXED),
    (FIXED, FIXED),
    (f"<think>hm</think><corrected>{FIXED}</corrected> I changed 3.", FIXED),
    ("", ""),
    ("<corrected></corrected>", ""),
]


@pytest.mark.parametrize(("output", "text"), REWRITES)
def test_rewrite(output: str, text: str) -> None:
    assert parse_output(output, ANSWER, REWRITE).text == text


def test_margins_are_never_an_edit() -> None:
    assert parse_output("<corrected>x</corrected>", "\n\n y \n", REWRITE).text == "\n\n x \n"


@pytest.mark.parametrize(
    "output", ["<corrected>cut", "<corrected>a</corrected><corrected>b</corrected>"]
)
def test_rewrites_that_could_mean_two_things(output: str) -> None:
    assert parse_output(output, ANSWER, REWRITE).unreadable


def test_tags_of_the_original_are_text() -> None:
    original = "x <corrected> y </corrected> z"
    proposal = parse_output(f"<corrected>{original}!</corrected>", original, REWRITE)
    assert proposal.text == f"{original}!"


def test_locked_keeps_what_stands_before_the_first_error() -> None:
    output = (
        "<first_error>2 blue squares</first_error>\n"
        "<corrected>1 blue squares.\n3 + 1 = 4.\nAnswer: 4</corrected>"
    )
    proposal = parse_output(output, ANSWER, LOCKED)
    assert proposal.text == (
        "I see 3 red circles.\nThere are 1 blue squares.\n3 + 1 = 4.\nAnswer: 4"
    )


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("<first_error>7</first_error><corrected>x</corrected>", "inapplicable"),
        ("<first_error>3</first_error><corrected>x</corrected>", "inapplicable"),
        ("<corrected>x</corrected>", "unreadable"),
        ("<first_error>see 3</first_error>", "unreadable"),
    ],
)
def test_locked_needs_one_place_and_both_parts(output: str, code: str) -> None:
    assert getattr(parse_output(output, ANSWER, LOCKED), code)
