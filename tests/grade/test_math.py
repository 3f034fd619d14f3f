"""Through the real math-verify, in this process."""

from __future__ import annotations

import threading

import pytest

from dfgen.config.grade import GradeConfig
from dfgen.grade import Verdict, grade

CASES = [
    (r"\boxed{\frac{\sqrt{2}}{2}}", r"\frac{1}{\sqrt{2}}", True),
    (r"\boxed{2\sqrt{9}}", "6", True),
    (r"\boxed{(x+1)^2}", "x^2+2x+1", True),
    (r"\boxed{(x+1)^2}", "x^2+1", False),
    (r"so $x = \sqrt{16}$.", "4", True),
    (r"The answer is $\{1, 2\}$.", r"\{2, 1\}", True),
    (r"The answer is $(1, 2)$.", "(2, 1)", False),
    (r"\boxed{[0,1)}", "[0,1)", True),
    (r"\boxed{[0,1)}", "(0,1)", False),
    (r"\boxed{1} and \boxed{2}", r"\{1, 2\}", True),
    (r"\boxed{1} and \boxed{2}", "1", False),
    (r"first \boxed{1}. Later we find \boxed{2}", "2", True),
    (r"\boxed{7:32}", "7:32", True),
    (r"\boxed{\begin{pmatrix}1 & 2\end{pmatrix}}", r"\begin{pmatrix}1 & 2\end{pmatrix}", True),
    (r"\boxed{x \geq 5}", r"5 \leq x", True),
    (r"Final answer: $3\pi$", r"3\pi", True),
    ("Die Antwort ist 1,5.", "1.5", True),
    ("1/2 + 1/4", "3/4", True),
    ("the function is $a+5$", "a + 5", True),
    (r"\boxed{2x}", "2", False),
    ("2x", "2", False),
    ("The answer is 2x.", "2", False),
    ("2", "2x", False),
    ("The answer is 5.", "a + 5", False),
    ("x(x+1)", "x^2 + x", True),
    ("n - 1", "n + 1", False),
    ("the value is \\frac{1}{2}", "0.5", True),
    (r"\boxed{}", "4", False),
    ("", "4", False),
    (r"\boxed{D}", "128", False),
]


@pytest.mark.parametrize(("completion", "answer", "correct"), CASES)
def test_mathematics(completion: str, answer: str, correct: bool) -> None:
    verdict = grade(completion, answer, answer_type="math")
    assert verdict.correct is correct, verdict


def test_brackets_and_letters_count() -> None:
    assert not grade("$[0,9)$", "$(0,9)$", answer_type="math").correct
    assert not grade("$(+5)(b+2)$", "$(a+5)(b+2)$", answer_type="math").correct


def test_options_of_math_verify() -> None:
    rounded = GradeConfig(math_precision=2)
    assert grade(r"$(0.6, 2.6667]$", r"$(\frac{3}{5}, \frac{8}{3}]$", config=rounded).correct
    assert not grade(r"$(0.6, 2.6667]$", r"$(\frac{3}{5}, \frac{8}{3}]$").correct
    loose = GradeConfig(math_strict=False)
    assert grade("$f(y)$", "$f(x)$", config=loose).correct
    assert not grade("$f(y)$", "$f(x)$").correct
    both = GradeConfig(math_set_relations=True)
    assert grade(r"$-2 \le x \le 7$", r"$x \in [-2,7]$", config=both).correct


def test_in_a_thread() -> None:
    found: list[Verdict] = []
    thread = threading.Thread(
        target=lambda: found.append(grade(r"\boxed{\sqrt{9}}", r"\frac{6}{2}", answer_type="math"))
    )
    thread.start()
    thread.join()
    assert found[0].correct, found[0]


def test_the_stated_answer_counts_not_the_reasoning() -> None:
    verdict = grade(r"From $x = 4$ we see: \boxed{\text{no solution}}", r"\sqrt{16}")
    assert not verdict.correct
    assert verdict.extracted == r"\text{no solution}"
