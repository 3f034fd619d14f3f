"""Arrays of one row agree with each other, with tokenizers put together as real models' are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.mask import MaskConfig
from dfgen.diff import diff_pair
from dfgen.errors import RowError
from tests.diff.model_tokenizers import LINES, MODELS
from tests.diff.pairs import diff
from tests.diff.test_properties import is_subsequence
from tests.tokens.families import ALL

WORDS = [
    *(word for line in LINES for word in line.split(" ")),
    "\n", "\n\n", "a", "aa", "the", "th", "é", "世", "100", "1", "Step 1:", "Step 2:",
]  # fmt: skip
ROWS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=25)
EVERY = {**MODELS, **{name: ALL[name] for name in ("bpe", "byte_level", "llama", "metaspace")}}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    wrong = draw(ROWS)
    right = list(wrong)
    for _ in range(draw(st.integers(1, 4))):
        at, size = draw(st.integers(0, len(right))), draw(st.integers(0, 3))
        right[at : at + size] = draw(st.lists(st.sampled_from(WORDS), max_size=3))
    joint = draw(st.sampled_from([" ", ""]))
    return joint.join(wrong), joint.join(right)


@pytest.mark.parametrize("name", sorted(EVERY))
@given(pair=pairs(), atoms=st.booleans())
def test_unmasked_ids_are_a_subsequence(name: str, pair: tuple[str, str], atoms: bool) -> None:
    """Also where the text between two hunks is split in another way, far from both."""
    tokenizer = EVERY[name]()
    ids = tokenizer.encode(pair[0])
    text = tokenizer.decode(ids)
    if tokenizer.encode(text) != ids:
        return  # ids that are not the tokenizer's own promise the same bytes only
    config = MaskConfig(whole_atoms=atoms)
    result = diff_pair(text, pair[1], tokenizer, config, completion_ids=ids)
    shown = result.token_bytes[1:] > result.token_bytes[:-1]
    kept = result.completion_ids[(result.token_ops == 0) & shown].tolist()
    assert is_subsequence(kept, result.repair_ids.tolist())


@pytest.mark.parametrize("name", sorted(EVERY))
@given(pair=pairs(), anchor=st.sampled_from(["next", "previous", "both"]))
def test_labels_are_the_steps_of_the_loss_tokens(
    name: str, pair: tuple[str, str], anchor: str
) -> None:
    result = diff_pair(*pair, EVERY[name](), MaskConfig(insertion_anchor=anchor))
    if result.is_empty:
        return
    steps = set(result.step_ids[result.loss_mask].tolist())
    assert set(np.flatnonzero(result.step_labels).tolist()) == steps
    assert result.first_error_step == min(steps)


def test_what_is_missing_at_the_end_of_a_step_is_its_own() -> None:
    wrong = "Step 1: I look.\nStep 2: I add 4."
    right = "Step 1: I look. I see 3.\nStep 2: I add 4."
    result = diff(wrong, right)
    assert result.step_labels.tolist() == [True, False]
    assert set(result.step_ids[result.loss_mask].tolist()) == {0}


def test_a_repair_of_form_only_is_refused() -> None:
    result = diff("So x² is it", "so x^2 is it")
    assert result.is_empty
    with pytest.raises(RowError) as caught:
        result.check_not_empty()
    assert caught.value.reason == "mask_empty"
    assert caught.value.evidence["format"] == 2
    diff("So 3 is it", "So 4 is it").check_not_empty()


ROLES = [
    (
        "Red: 4. Blue: 2. So 4 - 2 = 2.",
        "Red: 2. Blue: 3. So 3 - 2 = 1.",
        ["root", "root", "consequence", "consequence"],
    ),
    ("one, two, three", "one; two; three", ["root", "root"]),
]


@pytest.mark.parametrize(("wrong", "right", "roles"), ROLES)
def test_roles(wrong: str, right: str, roles: list[str]) -> None:
    assert [hunk.role for hunk in diff(wrong, right).hunks] == roles
