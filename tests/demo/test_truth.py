"""The ideal repair: a table of cases, and properties over many answers."""

from typing import Any

import numpy as np
import pytest

from dfgen.demo.questions import CONCLUSION_PHRASES, COUNT_PHRASES, Wording
from dfgen.demo.scenes import draw_facts
from dfgen.demo.truth import closest_repair, is_consistent, true_repair

SUM = {"kind": "sum", "sorts": ["red circles", "blue squares"], "counts": [3, 2], "answer": "5"}
DIFFERENCE = {
    "kind": "difference",
    "sorts": ["red circles", "blue squares"],
    "counts": [1, 4],
    "answer": "3",
}
COMPARE = {
    "kind": "compare",
    "sorts": ["red circles", "blue squares"],
    "counts": [2, 2],
    "answer": "equal",
}


def text(first: str, second: str, third: str, answer: str) -> str:
    return f"Step 1: {first}.\nStep 2: {second}.\nStep 3: {third}.\nAnswer: {answer}"


RIGHT = text(
    "red circles: I see 3", "blue squares: there are 2", "adding them gives 3 + 2 = 5", "5"
)
CASES: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("true already", SUM, RIGHT, RIGHT),
    (
        "one count and its consequences",
        SUM,
        text(
            "red circles: I see 3", "blue squares: there are 1", "adding them gives 3 + 1 = 4", "4"
        ),
        RIGHT,
    ),
    (
        "errors that cancel",
        SUM,
        text(
            "red circles: I see 4", "blue squares: there are 1", "adding them gives 4 + 1 = 5", "5"
        ),
        RIGHT,
    ),
    (
        "a slip in the final answer only",
        SUM,
        text(
            "red circles: I see 3", "blue squares: there are 2", "adding them gives 3 + 2 = 5", "6"
        ),
        RIGHT,
    ),
    (
        "a slip while copying a count",
        SUM,
        text(
            "red circles: I see 3", "blue squares: there are 2", "adding them gives 3 + 3 = 6", "6"
        ),
        RIGHT,
    ),
    (
        "a sort copied wrongly",
        SUM,
        text(
            "red squares: I see 3", "blue squares: there are 2", "adding them gives 3 + 2 = 5", "5"
        ),
        RIGHT,
    ),
    (
        "the larger count comes first",
        DIFFERENCE,
        text("red circles: I see 4", "blue squares: image has 2", "they differ by 4 - 2 = 2", "2"),
        text("red circles: I see 1", "blue squares: image has 4", "they differ by 4 - 1 = 3", "3"),
    ),
    (
        "a relation and a name",
        COMPARE,
        text(
            "red circles: I see 3",
            "blue squares: image has 2",
            "so I find 3 is more than 2",
            "red circles",
        ),
        text(
            "red circles: I see 2",
            "blue squares: image has 2",
            "so I find 2 is equal to 2",
            "equal",
        ),
    ),
    ("two digits", SUM, RIGHT.replace("I see 3", "I see 13"), RIGHT),
    ("cut off", SUM, RIGHT[:-4], None),
    ("something after the answer", SUM, RIGHT + "\n", None),
    ("another phrase", SUM, RIGHT.replace("I see", "we spot"), None),
    ("another kind's grammar", COMPARE, RIGHT, None),
    ("empty", SUM, "", None),
]


@pytest.mark.parametrize(
    ("truth", "answer", "repair"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_true_repair(truth: dict[str, Any], answer: str, repair: str | None) -> None:
    assert true_repair(answer, truth) == repair


def test_true_answers_are_their_own_repair_and_repairs_are_true() -> None:
    rng = np.random.default_rng(3)
    facts = draw_facts(rng, 300)
    for index, kind in enumerate(facts.kinds):
        first, second = rng.integers(0, len(COUNT_PHRASES), size=2)
        conclusion = rng.integers(0, len(CONCLUSION_PHRASES[kind]))
        wording = Wording(int(first), int(second), int(conclusion))
        a, b = (int(count) for count in facts.counts[index])
        right = facts.answer(index, (a, b), wording)
        wrong = facts.answer(index, (4 - a, (b + 1) % 5), wording)
        truth = facts.truth(index)
        assert true_repair(right, truth) == right
        assert true_repair(wrong, truth) == right
        assert is_consistent(right, truth)
        assert is_consistent(wrong, truth)
        assert right.endswith(truth["answer"])


def test_consistency_tells_miscounts_from_slips() -> None:
    miscount = text(
        "red circles: I see 4", "blue squares: there are 2", "the sum is 4 + 2 = 6", "6"
    )
    assert is_consistent(miscount, SUM)
    assert not is_consistent(miscount.replace("= 6", "= 7"), SUM)
    assert not is_consistent(miscount[:20], SUM)


def test_closest_repair_keeps_the_wording_of_garbled_answers() -> None:
    assert closest_repair(RIGHT.replace("3 + 2", "2 + 2"), SUM) == RIGHT
    assert closest_repair(RIGHT[:-9], SUM) == RIGHT
    assert closest_repair(RIGHT.replace("red circles: I", "red: I has"), SUM) == RIGHT
    assert closest_repair("", SUM).endswith("Answer: 5")
