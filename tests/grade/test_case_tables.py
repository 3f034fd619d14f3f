"""Answers of every kind with the verdict that a careful person gives, through a real pool.

`cases/careful_person.jsonl` has whole completions; `cases/own.jsonl` has a reference with answers
that are right and answers that are wrong; each is tried bare, in a box and after "Answer:".
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dfgen.config.grade import GradeConfig
from dfgen.grade import GradeItem, GradePool, Verdict

_FOLDER = Path(__file__).parent / "cases"
# What stands around an answer already says where it is.
_STATED = ("boxed", "nswer", "\n", "<think", "####", "tep", "...", "otal", "Let", "hus", "So", "_")


def read_rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (_FOLDER / name).read_text("utf-8").splitlines()]


PERSON = read_rows("careful_person.jsonl")
OWN = read_rows("own.jsonl")


def grade_all(items: list[GradeItem]) -> list[Verdict]:
    with GradePool(GradeConfig(timeout_s=60)) as pool:
        return list(pool.grade_many(items))


@pytest.fixture(scope="module")
def person_verdicts() -> list[Verdict]:
    return grade_all(
        [GradeItem(r["completion"], r["answer"], "auto", tuple(r["choices"] or ())) for r in PERSON]
    )


def show(row: dict[str, Any], verdict: Verdict) -> str:
    return f"{row['answer']!r} <- {row['completion']!r}: {verdict.correct}, {verdict.detail}"


@pytest.mark.parametrize("kind", sorted({row["kind"] for row in PERSON}))
def test_verdicts_are_those_of_a_careful_person(kind: str, person_verdicts: list[Verdict]) -> None:
    pairs = [(r, v) for r, v in zip(PERSON, person_verdicts, strict=True) if r["kind"] == kind]
    assert [
        show(row, verdict) for row, verdict in pairs if verdict.correct is not row["expected"]
    ] == []


def test_hardly_any_wrong_answer_is_undecided(person_verdicts: list[Verdict]) -> None:
    counts: Counter[tuple[str, bool]] = Counter()
    for row, verdict in zip(PERSON, person_verdicts, strict=True):
        counts[row["kind"], verdict.undecided] += (
            not row["expected"] or row["kind"] == "right-today"
        )
    assert counts["right-today", True] == 0
    assert sum(n for (_, undecided), n in counts.items() if undecided) <= 0.02 * counts.total()


def list_completions(text: str) -> list[str]:
    if not text or text.startswith(("We ", "In ", "I ")) or any(map(text.__contains__, _STATED)):
        return [text]
    return [text, f"We look and work it out.\n\\boxed{{{text}}}", f"We see it.\n\nAnswer: {text}"]


@pytest.mark.parametrize("kind", sorted({row["kind"] for row in OWN}))
def test_right_and_wrong_answers_of_a_kind(kind: str) -> None:
    rows = [
        {**row, "completion": completion, "expected": name == "right"}
        for row in OWN
        if row["kind"] == kind
        for name in ("right", "wrong")
        for text in row[name]
        for completion in list_completions(text)
    ]  # fmt: skip
    items = [GradeItem(r["completion"], r["answer"], "auto", tuple(r["choices"])) for r in rows]
    verdicts = grade_all(items)
    failures = [
        show(row, verdict)
        for row, verdict in zip(rows, verdicts, strict=True)
        if verdict.correct is not row["expected"]
    ]
    assert failures == []


def test_there_are_enough_cases() -> None:
    assert len(PERSON) > 700
    assert sum(len(row["right"]) + len(row["wrong"]) for row in OWN) > 300
