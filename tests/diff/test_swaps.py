"""Sentences and steps in another order are moves; values that changed places are not."""

from __future__ import annotations

import random

import pytest

from tests.diff.pairs import diff, marked

MOVES = [
    (
        "First, we find the area of the circle. Then, we find the perimeter. We add them up.",
        "Then, we find the perimeter. First, we find the area of the circle. We add them up.",
    ),
    ("I see 3 cats. I see 4 dogs. So 7.", "I see 4 dogs. I see 3 cats. So 7."),
    (
        "Step 1: find the area now.\nStep 2: count all the dots.\nAnswer: 5",
        "Step 1: count all the dots.\nStep 2: find the area now.\nAnswer: 5",
    ),
    (
        "1. Count the red ones.\n2. Look at the blue ones.\n3. Add.",
        "1. Look at the blue ones.\n2. Count the red ones.\n3. Add.",
    ),
    (
        "我们先求三角形的面积。然后计算圆的周长。最后相加。",
        "然后计算圆的周长。我们先求三角形的面积。最后相加。",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "right"), MOVES)
def test_another_order_marks_nothing(wrong: str, right: str) -> None:
    for one, other in ((wrong, right), (right, wrong)):
        result = diff(one, other)
        assert result.is_empty and not result.repair_mask.any()
        assert "move" in {hunk.kind for hunk in result.hunks}
        assert result.explain_empty()["move"] in (2, 4)


VALUES = [
    ("Red: I see 3. Blue: I see 4.", "Red: I see 4. Blue: I see 3."),
    (
        "Look at the left side. I see 3 cats. Look at the right side. I see 4 cats.",
        "Look at the left side. I see 4 cats. Look at the right side. I see 3 cats.",
    ),
]


@pytest.mark.parametrize(("wrong", "right"), VALUES)
def test_exchanged_values_are_changes(wrong: str, right: str) -> None:
    assert marked(wrong, right) == ["3", "4"]


def test_a_swap_beside_a_change() -> None:
    wrong = "We count all the red ones. We look at the blue ones here. So the sum is 5."
    right = "We look at the blue ones here. We count all the red ones. So the sum is 6."
    assert marked(wrong, right) == ["5"]


def test_random_swaps() -> None:
    rng = random.Random(3)
    nouns = "circle square triangle line dot corner angle side".split()  # noqa: SIM905
    for _ in range(100):
        sentences = [
            f"We {rng.choice(['count', 'measure', 'find'])} the {noun} number {k} of it."
            for k, noun in enumerate(rng.sample(nouns, 5))
        ]
        at = rng.randrange(4)
        other = list(sentences)
        other[at], other[at + 1] = other[at + 1], other[at]
        joint = rng.choice([" ", "\n", "\n\n"])
        assert diff(joint.join(sentences), joint.join(other)).is_empty
