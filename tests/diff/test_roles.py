"""Roots and consequences."""

from __future__ import annotations

import pytest

from tests.diff.pairs import diff

ROOT, CARRIED = "root", "consequence"

CASES = [
    # wrong, right, role of each hunk
    (
        "Step 1: I see 3. Step 2: I see 2. Step 3: 3 + 2 = 5. Answer: 5",
        "Step 1: I see 4. Step 2: I see 2. Step 3: 4 + 2 = 6. Answer: 6",
        [ROOT, CARRIED, CARRIED, CARRIED],
    ),
    (  # two mistakes
        "Step 1: I see 3. Step 2: I see 2. Step 3: 3 + 2 = 5. Answer: 5",
        "Step 1: I see 4. Step 2: I see 1. Step 3: 4 + 1 = 5. Answer: 5",
        [ROOT, ROOT, CARRIED, CARRIED],
    ),
    (  # a slip of arithmetic is a root of its own
        "Step 1: I see 3. Step 2: 3 + 2 = 7. Answer: 7",
        "Step 1: I see 4. Step 2: 4 + 2 = 6. Answer: 6",
        [ROOT, CARRIED, ROOT, CARRIED],
    ),
    (
        "The cat is red. So the red cat wins.",
        "The cat is blue. So the blue cat wins.",
        [ROOT, CARRIED],
    ),
    ("x = 2.\nSo 3x is 3 * 2 = 6.", "x = 5.\nSo 3x is 3 * 5 = 15.", [ROOT, CARRIED, CARRIED]),
    ("I see 8. Half is 8 / 2 = 4.", "I see 6. Half is 6 / 2 = 3.", [ROOT, CARRIED, CARRIED]),
    ("I see 3 and 4. Total 7.", "I see 5 and 6. Total 11.", [ROOT, ROOT, CARRIED]),
    ("I see 3. He is 9.", "I see 4. He is 8.", [ROOT, ROOT]),
    ("It is 5. We stop.", "It is 5. We go.", [ROOT]),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "right", "roles"), CASES)
def test_hunks(wrong: str, right: str, roles: list[str]) -> None:
    assert [hunk.role for hunk in diff(wrong, right).hunks] == roles


def test_steps() -> None:
    result = diff(
        "Step 1: I see 3. Step 2: I see 2. Step 3: We look. Step 4: 3 + 2 = 5. Answer: 5",
        "Step 1: I see 4. Step 2: I see 1. Step 3: We look. Step 4: 4 + 1 = 5. Answer: 5",
    )
    assert result.step_roles == ("first", "independent", "unchanged", "consequence", "unchanged")
    assert result.first_error_step == 0
    assert result.step_labels.tolist() == [True, True, False, True, False]


def test_weights_of_consequences() -> None:
    wrong, right = "I see 3. So 3 it is.", "I see 4. So 4 it is."
    assert diff(wrong, right).weights is None
    result = diff(wrong, right, consequence_weight=0.25)
    assert result.weights is not None
    assert sorted(set(result.weights[result.loss_mask].tolist())) == [0.25, 1.0]
    assert not result.weights[~result.loss_mask].any()


def test_form_has_no_role() -> None:
    assert [hunk.role for hunk in diff("a  cat", "a cat").hunks] == [None]
