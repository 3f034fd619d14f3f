"""An insertion marks a gap, and by policy a token beside it."""

from __future__ import annotations

import numpy as np
import pytest

from dfgen.diff import diff_pair
from tests.diff.pairs import diff
from tests.support.small_tokenizers import byte_level_bpe
from tests.tokens.families import spell


def read_gaps(wrong: str, right: str, **switches: str) -> tuple[list[str], list[str]]:
    """The tokens before which something is inserted, and the tokens that are marked."""
    result = diff(wrong, right, **switches)
    tokens = [*spell(byte_level_bpe(), result.completion_ids), "(end)"]
    gaps = [tokens[i] for i in np.flatnonzero(result.gap_mask)]
    return gaps, [tokens[i] for i in np.flatnonzero(result.loss_mask)]


CASES = [
    # policy, wrong, right, gaps, marked
    ("next", "the is", "the area is", [" is"], [" is"]),
    ("previous", "the is", "the area is", [" is"], ["the"]),
    ("both", "the is", "the area is", [" is"], ["the", " is"]),
    ("none", "the is", "the area is", [" is"], []),
    ("next", "the is", "the is so", ["(end)"], [" is"]),
    ("previous", "the is", "so the is", ["the"], ["the"]),
    ("next", "", "so", ["(end)"], []),
]


@pytest.mark.parametrize(("policy", "wrong", "right", "gaps", "marked"), CASES)
def test_anchor(policy: str, wrong: str, right: str, gaps: list[str], marked: list[str]) -> None:
    # The small vocabulary splits some words: anchors are single tokens all the same.
    found_gaps, found_marked = read_gaps(wrong, right, insertion_anchor=policy)
    assert [gap[:2] for gap in found_gaps] == [gap[:2] for gap in gaps]
    assert len(found_marked) == len(marked)


def test_the_repair_side_marks_what_is_new() -> None:
    tokenizer = byte_level_bpe()
    result = diff("the is", "the area is")
    new = [
        token
        for token, mask in zip(spell(tokenizer, result.repair_ids), result.repair_mask, strict=True)
        if mask
    ]
    assert "".join(new) == " area"


def test_an_insertion_inside_a_token_changes_the_token() -> None:
    """ "))" is one token; "x" between its halves leaves no such token in the repair."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from dfgen.tokens import TextTokenizer

    vocab = {"a": 0, ")": 1, "))": 2, "x": 3, "Ġ": 4}
    bpe = Tokenizer(models.BPE(vocab=vocab, merges=[(")", ")")]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    result = diff_pair("a))", "a)x)", TextTokenizer.from_tokenizers(bpe))
    assert result.token_ops.tolist() == [0, 1]
    assert result.loss_mask.tolist() == [False, True]
    assert result.gap_mask.tolist() == [False, True, False]


def test_step_of_an_insertion() -> None:
    wrong = "Step 1: count.\nStep 3: answer."
    inserted = diff(wrong, "Step 1: count.\nStep 2: add.\nStep 3: answer.")
    assert inserted.hunks[0].wrong_step == 1
    assert inserted.hunks[0].right_step == 1
    continued = diff(wrong, "Step 1: count twice.\nStep 3: answer.")
    assert continued.hunks[0].wrong_step == 0
