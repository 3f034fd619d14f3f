from __future__ import annotations

import pytest

from dfgen.grade import grade

RIGHT = [
    ("Paris", "paris"),
    ("  PARIS. ", "Paris"),
    ("The answer is **Paris**.", "Paris"),
    ("<answer>the Eiffel Tower</answer>", "Eiffel tower"),
    (r"\boxed{\text{a dog}}", "Dog"),
    ("The animal is a dog.", "dog"),
    ("Das Tier ist ein Hund.", "Hund"),
    ("Ｐａｒｉｓ", "Paris"),
    ("ﬁsh", "fish"),
    ("Straße", "STRASSE"),
    ("rock-climbing", "rock climbing"),
    ("don’t know", "don't know"),
    ("l'éléphant", "éléphant"),
    ("e\u0301te\u0301", "été"),
    ("red,  white and blue", "red white and blue"),
    ("yes", "Yes"),
    ("Yes, there is a cat.", "yes"),
    ("Answer: No, because it is dark", "no"),
    ("так, є", "так"),
    ("答案是：红色。", "红色"),
    ("C++", "c++"),
    ("I see.\nIt rains.\nUmbrella", "umbrella"),
]


@pytest.mark.parametrize(("completion", "answer"), RIGHT)
def test_right(completion: str, answer: str) -> None:
    verdict = grade(completion, answer, answer_type="text")
    assert verdict.correct, verdict
    assert not verdict.detail.startswith("text")


WRONG = [
    ("London", "Paris"),
    ("It is not a dog.", "dog"),
    ("Paris or London", "Paris"),
    ("No, there is none.", "yes"),
    ("not yes", "yes"),
    ("yesterday", "yes"),
    ("C", "C++"),
    ("", "Paris"),
    ("red", "red and blue"),
    ("...", "Paris"),
]


@pytest.mark.parametrize(("completion", "answer"), WRONG)
def test_wrong(completion: str, answer: str) -> None:
    assert not grade(completion, answer, answer_type="text").correct
