"""`dfgen validate` finds every kind of damage to a mask row."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.records import Mask
from dfgen.stages.mask.pairs import Pair, mask_pair
from dfgen.validate.masks import check_mask, check_masks
from tests.stages.test_prompting import make_prompt
from tests.store import examples
from tests.support.small_tokenizers import byte_level_bpe

WRONG = "Step 1: red circles: I see 3.\nStep 2: there are 2.\nAnswer: 5"
RIGHT = "Step 1: red circles: I see 4.\nStep 2: there are 2.\nAnswer: 6"


def make_mask(wrong: str = WRONG, right: str = RIGHT) -> Mask:
    from dfgen.config.mask import MaskConfig

    pair = Pair("a-0", make_prompt(), wrong, right, None)
    return mask_pair(pair, byte_level_bpe(), MaskConfig(empty="keep"))


def find_problems(row: dict[str, Any]) -> list[str]:
    return list(check_masks([row], byte_level_bpe()))


def test_a_sound_row_has_no_problem() -> None:
    assert find_problems(make_mask().model_dump()) == []


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_diff_pair_makes_is_sound(wrong: str, right: str) -> None:
    assert find_problems(make_mask(wrong, right).model_dump()) == []


def flip(row: dict[str, Any], column: str, index: int) -> None:
    row[column][index] = not row[column][index]


def change_hunk(row: dict[str, Any], **values: Any) -> None:
    hunks = json.loads(row["hunks"])
    hunks[0].update(values)
    row["hunks"] = json.dumps(hunks)


def swap_ids(row: dict[str, Any]) -> None:
    ids = row["completion_ids"]
    ids[0], ids[1] = ids[1], ids[0]


DAMAGE = {
    "loss_mask too short": (lambda row: row["loss_mask"].pop(), "loss_mask has length"),
    "gap_mask too short": (lambda row: row["gap_mask"].pop(), "gap_mask has length"),
    "repair_mask too long": (lambda row: row["repair_mask"].append(True), "repair_mask has length"),
    "logprobs missing one": (lambda row: row.update(logprobs=[-0.1]), "logprobs has length"),
    "offsets shifted": (lambda row: row["token_bytes"].__setitem__(-1, 3), "token_bytes runs"),
    "offsets go back": (lambda row: row["token_bytes"].__setitem__(1, 40), "token_bytes goes back"),
    "ids do not decode": (swap_ids, "decoding completion_ids"),
    "hunk of another text": (lambda row: change_hunk(row, wrong_text="9"), "does not find"),
    "hunk with another repair": (lambda row: change_hunk(row, right_text="8"), "does not give"),
    "mask on an equal token": (lambda row: flip(row, "loss_mask", 0), "neither changed"),
    "operation outside hunks": (lambda row: row["token_ops"].__setitem__(0, 2), "lies in no hunk"),
    "unknown operation": (lambda row: row["token_ops"].__setitem__(0, 9), "outside 0..4"),
    "first error elsewhere": (lambda row: row.update(first_error_step=1), "first_error_step"),
    "unknown role": (lambda row: row["step_roles"].__setitem__(0, "villain"), "villain"),
    "steps go back": (lambda row: row["step_ids"].__setitem__(0, 2), "step_ids goes back"),
    "source without repair": (lambda row: row.update(mask_source="outcome"), "mask_source"),
    "reward says right": (lambda row: row.update(reward=1.0), "reward"),
    "weight above one": (lambda row: row.update(weights=[2.0] * len(row["loss_mask"])), "weight"),
    "logprob above zero": (
        lambda row: row.update(logprobs=[0.5] * len(row["loss_mask"])),
        "logprob",
    ),
    "repair lost a word": (
        lambda row: row.update(repair=row["repair"].replace("red ", "")),
        "differ",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found(name: str) -> None:
    damage, message = DAMAGE[name]
    row = make_mask().model_dump()
    damage(row)
    problems = find_problems(row)
    assert any(message in problem for problem in problems), problems


def test_a_row_that_stands_twice() -> None:
    row = make_mask().model_dump()
    assert any("twice" in problem for problem in check_masks([row, row], None))


SCORE_COLUMNS = {
    "scored_logprobs": ("completion_ids", -0.5),
    "tempered_logprobs": ("completion_ids", -0.5),
    "repair_logprobs": ("repair_ids", -0.5),
    "repair_tempered_logprobs": ("repair_ids", -0.5),
    "visual_kl": ("completion_ids", 0.5),
    "visual_log_ratio": ("completion_ids", -0.5),
}


def test_scores_are_sound_and_an_old_row_without_their_columns_is_too() -> None:
    row = make_mask().model_dump()
    old = {name: value for name, value in row.items() if name not in SCORE_COLUMNS}
    assert find_problems({**old, "repair_logprobs": None}) == []
    for name, (like, value) in SCORE_COLUMNS.items():
        row[name] = [value] * len(row[like])
    assert find_problems(row) == []


@pytest.mark.parametrize("column", SCORE_COLUMNS)
@pytest.mark.parametrize("damage", ["short", "nan", "sign", "no repair"])
def test_damaged_scores_are_found(column: str, damage: str) -> None:
    like, value = SCORE_COLUMNS[column]
    row = make_mask().model_dump()
    row[column] = [value] * len(row[like])
    if damage == "short":
        row[column].pop()
    elif damage == "nan":
        row[column][2] = float("nan")
    elif damage == "sign" and column != "visual_log_ratio":  # which may be of either
        row[column][2] = -value
    elif damage == "no repair" and like == "repair_ids":
        row = {**UNREAD, "undecided": None, column: [value]}
        assert any(f"{column} is set" in problem for problem in check_mask(row, None))
        return
    else:
        return
    assert any(column in problem for problem in find_problems(row))


UNREAD = {
    **examples.make_mask("p", 0, "outcome").model_dump(),
    "loss_mask": [False] * 4,
    "undecided": True,
}


def test_an_undecided_row_is_sound_without_loss_and_reward() -> None:
    assert list(check_mask(UNREAD, None)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss_mask": [True] * 4}, "not all false"),
        ({"undecided": False}, "true or null"),
        ({"reward": 0.5}, "not outcome and 0"),
        ({"reward": 1.0, "mask_source": "correct"}, "not outcome and 0"),
    ],
)
def test_an_undecided_row_that_is_not(changes: dict[str, Any], said: str) -> None:
    assert any(said in problem for problem in check_mask({**UNREAD, **changes}, None))
