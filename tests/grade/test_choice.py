from __future__ import annotations

import pytest

from dfgen.grade import grade

COLOURS = ("red", "green", "blue", "dark blue")
LENGTHS = (r"$12 \mathrm{~cm}$", r"$16 \mathrm{~cm}$", r"$2\sqrt{5}$", r"$\frac{5}{3}\pi+2$")
LETTERS = ("P", "R", "I", "S")

BY_LETTER = [
    "B",
    "b",
    "(B)",
    "(b)",
    "B.",
    "B)",
    "[B]",
    "**B**",
    "**(B)**",
    "\\boxed{B}",
    "\\boxed{\\text{(B)}}",
    "\\boxed{\\textbf{B}}",
    "$\\boxed{\\mathrm{B}}$.",
    "<answer>B</answer>",
    "<answer> b </answer>",
    "Answer: B",
    "The answer is B.",
    "The answer is (B) green.",
    "The answer is option B.",
    "The correct answer is **B. green**",
    "Answer: B) green",
    "option B",
    "Option (B)",
    "The answer is B because of it.",
    "Therefore only choice (B) remains.",
    "It is not red (A). So (B).",
    "Ｂ",
    "（Ｂ）",
    "答案是B。",
    "故选：B",
    "正解はBです",
    "Die Antwort ist B.",
    "Варіант B",
    "\\boxed{B. green}",
    "B. Because A is not valid",
    "Answer: **B**\n",
    "<think>(A)? no.</think>B",
    "\\boxed{5}. The answer is: (B)",
]


@pytest.mark.parametrize("completion", BY_LETTER)
def test_by_letter(completion: str) -> None:
    assert grade(completion, "B", choices=COLOURS).correct
    assert not grade(completion, "A", choices=COLOURS).correct
    assert grade(completion, "green", choices=COLOURS).correct


BY_TEXT = [
    ("green", "B"),
    ("GREEN.", "B"),
    ("The answer is green.", "B"),
    ("The colour is green", "B"),
    (r"\boxed{\text{Green}}", "B"),
    ("<answer>the green</answer>", "B"),
    ("It is dark blue.", "D"),
    ("blue", "C"),
]


@pytest.mark.parametrize(("completion", "letter"), BY_TEXT)
def test_by_text(completion: str, letter: str) -> None:
    for label, text in zip("ABCD", COLOURS, strict=True):
        assert grade(completion, label, choices=COLOURS).correct is (label == letter)
        assert grade(completion, text, choices=COLOURS).correct is (label == letter)


BY_VALUE = [
    (r"\boxed{16 \text{ cm}}", "B"),
    (r"\boxed{16}", "B"),
    ("The answer is 16 cm.", "B"),
    ("0.16 m", "B"),
    (r"\boxed{\sqrt{20}}", "C"),
    (r"\boxed{2+\frac{5\pi}{3}}", "D"),
]


@pytest.mark.parametrize(("completion", "letter"), BY_VALUE)
def test_by_value(completion: str, letter: str) -> None:
    for label in "ABCD":
        assert grade(completion, label, choices=LENGTHS).correct is (label == letter)


WRONG = [
    (r"\boxed{\text{None of the above}} although only (A) and (B) are possible", COLOURS),
    ("(A), (B)", COLOURS),
    ("A and B", COLOURS),
    ("red or green", COLOURS),
    (r"\boxed{192 \text{ cm}^2}", LENGTHS),
    ("", COLOURS),
    ("no idea at all", COLOURS),
    ("\\boxed{E}", COLOURS),
]


@pytest.mark.parametrize(("completion", "choices"), WRONG)
@pytest.mark.parametrize("answer", ["A", "B"])
def test_what_names_no_choice_or_several(
    completion: str, choices: tuple[str, ...], answer: str
) -> None:
    verdict = grade(completion, answer, choices=choices)
    assert not verdict.correct, verdict


def test_choices_that_are_letters_themselves() -> None:
    assert grade("\\boxed{C}", "C", choices=LETTERS).correct
    assert grade("\\boxed{R}", "B", choices=LETTERS).correct
    assert not grade("\\boxed{R}", "A", choices=LETTERS).correct
    assert grade("\\boxed{B}", "B", choices=("A", "B", "C")).correct


def test_choices_with_their_own_letters() -> None:
    own = ("(A) red", "(B) green")
    assert grade("green", "B", choices=own).correct
    assert grade("The answer is (B) green", "(B) green", choices=own).correct
    assert grade("(A)", "A. red", choices=("A. red", "B. green")).correct


def test_articles_are_no_letters() -> None:
    shapes = ("a square", "a triangle", "a circle")
    assert grade("The answer is a triangle.", "B", choices=shapes).correct
    assert grade("A triangle", "B", choices=shapes).correct
    assert not grade("A triangle", "A", choices=shapes).correct
    assert grade("A dog is in the picture.", "B", choices=("cat", "dog")).correct
    assert grade("B since a dog is no cat", "B", choices=("cat", "dog")).correct
    nets = ("An equilateral triangle", "A rectangle, but not a square", "A square")
    assert grade("It is a square.", "C", choices=nets).correct
    assert grade("A rectangle but not a square", "B", choices=nets).correct


def test_several_right_choices() -> None:
    assert grade("The answer is A and C.", "A, C", choices=COLOURS).correct
    assert grade("(C), (A)", "A, C", choices=COLOURS).correct
    assert not grade("A", "A, C", choices=COLOURS).correct


def test_letters_without_choices() -> None:
    assert grade("I pick (B).", "B").correct
    assert grade("The answer is **b**.", "B").correct
    assert not grade("I pick (C).", "B").correct


def test_cyrillic_letters() -> None:
    assert grade("Відповідь: Б", "Б", choices=COLOURS).correct
    assert grade("Правильна відповідь — (В)", "В", choices=COLOURS).correct
    assert grade("зелений", "Б", choices=("червоний", "зелений")).correct
    assert not grade("Відповідь: А", "Б", choices=COLOURS).correct


def test_a_reference_answer_that_is_no_choice() -> None:
    verdict = grade("The answer is 7.", "7", choices=("5", "6"))
    assert verdict.correct
    assert "names none of the choices" in verdict.detail
    assert not grade("The answer is (A).", "7", choices=("5", "6")).correct


def test_evidence() -> None:
    verdict = grade("so the answer is (C).", "B", choices=COLOURS)
    assert verdict.detail == "C by letter C, expected B"
    assert (verdict.extracted, verdict.method, verdict.grader) == ("(C)", "answer_line", "choice")
