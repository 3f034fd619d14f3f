"""Sampled ids: split in unusual ways, ended by special tokens, broken off in mid-character."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.mask import MaskConfig
from dfgen.diff import RepairerEdit, diff_pair, project_mask
from dfgen.errors import RowError
from tests.support.small_tokenizers import byte_level_bpe, one_token_per_byte
from tests.tokens.families import RAW, wrap

TEXT = st.text(alphabet="ab 12.\nжд世é", max_size=30)


def split_all(text: str) -> list[int]:
    """The ids of a text, one per byte: valid, and hardly ever canonical."""
    tokenizer = byte_level_bpe()
    singles = {
        piece: i for i, piece in enumerate(tokenizer.table.pieces) if piece and len(piece) == 1
    }
    return [singles[bytes([byte])] for byte in text.encode()]


@given(TEXT, st.booleans())
def test_another_split_of_the_same_text_is_no_edit(text: str, atoms: bool) -> None:
    result = diff_pair(
        text,
        text,
        byte_level_bpe(),
        MaskConfig(whole_atoms=atoms),
        completion_ids=split_all(text),
    )
    assert not result.hunks
    assert not result.loss_mask.any() and not result.token_ops.any()
    assert result.completion_ids.tolist() == split_all(text)


@given(TEXT, TEXT, st.booleans())
def test_the_mask_covers_the_same_bytes(wrong: str, right: str, atoms: bool) -> None:
    config = MaskConfig(whole_atoms=atoms, insertion_anchor="none")
    canonical = diff_pair(wrong, right, byte_level_bpe(), config)
    sampled = diff_pair(wrong, right, byte_level_bpe(), config, completion_ids=split_all(wrong))
    assert [h.kind for h in sampled.hunks] == [h.kind for h in canonical.hunks]
    covered = project_mask(sampled.loss_mask, sampled.token_bytes, canonical.token_bytes)
    assert not (covered & ~canonical.loss_mask).any()
    for hunk in sampled.hunks:
        if hunk.in_mask:
            # A line break in front that ends another step is not that step's mistake.
            blank = len(hunk.wrong_text) - len(hunk.wrong_text.lstrip())
            start, end = hunk.wrong_bytes
            assert sampled.loss_mask[start + (blank if start + blank < end else 0) : end].all()


def test_the_end_token_is_never_marked_and_stays() -> None:
    tokenizer = byte_level_bpe()
    end = next(i for i in range(tokenizer.vocab_size) if tokenizer.table.special[i] and i)
    ids = [*tokenizer.encode("I see 3"), end]
    result = diff_pair("I see 3", "I see 4 cats", tokenizer, completion_ids=ids)
    assert len(result.loss_mask) == len(ids)
    assert not result.loss_mask[-1] and result.token_ops[-1] == 0
    assert result.repair_ids[-1] == end and not result.repair_mask[-1]
    assert result.token_bytes[-1] == result.token_bytes[-2]
    appended = diff_pair("I see 3", "I see 3 cats", tokenizer, completion_ids=ids)
    assert np.flatnonzero(appended.gap_mask).tolist() == [len(ids) - 1]
    assert not appended.loss_mask[-1] and appended.loss_mask[-2]


def test_special_tokens_inside() -> None:
    tokenizer = byte_level_bpe()
    pad = next(i for i in range(tokenizer.vocab_size) if tokenizer.table.special[i])
    head, tail = tokenizer.encode("I see"), tokenizer.encode(" 3.")
    result = diff_pair("I see 3.", "I saw 4.", tokenizer, completion_ids=[*head, pad, *tail])
    assert result.completion == "I see 3."
    assert not result.loss_mask[len(head)] and result.token_ops[len(head)] == 0
    assert result.repair_ids.tolist() == tokenizer.encode("I saw 4.")


@pytest.mark.parametrize("family", ["byte_level", "llama"])
def test_a_tail_cut_off_in_mid_character(family: str) -> None:
    tokenizer = wrap(family)
    ids = tokenizer.encode("I see 界")[:-1]
    text = tokenizer.decode(ids)
    assert text.endswith("\ufffd")
    result = diff_pair(text, "I see 世.", tokenizer, completion_ids=ids)
    assert result.completion == text
    assert result.loss_mask[-2:].all() and not result.loss_mask[0]
    assert result.token_bytes[-1] == len(text.encode())


def test_a_character_in_several_tokens_is_marked_as_a_whole() -> None:
    tokenizer = one_token_per_byte()
    result = diff_pair("a 世 b", "a 界 b", tokenizer)
    assert result.loss_mask.tolist() == [False, False, True, True, True, False, False]


def test_leading_blank_of_sentencepiece() -> None:
    tokenizer = wrap("llama")
    ids = [RAW["llama"]().token_to_id(token) for token in ("▁the", "▁cat", "s")]
    result = diff_pair("the cats", "the cat", tokenizer, completion_ids=ids)
    assert result.token_bytes.tolist() == [0, 3, 7, 8]
    assert result.loss_mask.tolist() == [False, True, True]  # one word, wrong as a whole


def test_ids_of_another_text() -> None:
    tokenizer = byte_level_bpe()
    with pytest.raises(RowError) as caught:
        diff_pair("I see 3", "I see 4", tokenizer, completion_ids=tokenizer.encode("I see 5"))
    assert caught.value.reason == "completion_mismatch"
    assert caught.value.evidence == {"character": 6}


@pytest.mark.parametrize("ids", [[-1], [10**9]])
def test_ids_beyond_the_vocabulary(ids: list[int]) -> None:
    with pytest.raises(RowError) as caught:
        diff_pair("a", "b", byte_level_bpe(), completion_ids=ids)
    assert caught.value.reason == "token_out_of_vocabulary"


@pytest.mark.parametrize(("wrong", "right"), [("\ud800", "b"), ("a", "b\udfff")])
def test_lone_surrogates(wrong: str, right: str) -> None:
    with pytest.raises(RowError) as caught:
        diff_pair(wrong, right, byte_level_bpe())
    assert caught.value.reason == "invalid_unicode"


def test_reasons_of_the_repairer() -> None:
    edits = [
        RepairerEdit("see 3 red", "see 4 red", "there are four", "count"),
        RepairerEdit("I", "We", "twice in the text: names no place", None),
    ]
    result = diff_pair(
        "I see 3 red. I add 5.", "I see 4 red. I add 6.", byte_level_bpe(), edits=edits
    )
    assert [hunk.reason for hunk in result.hunks] == ["there are four", None]
    assert [hunk.reason_kind for hunk in result.hunks] == ["count", None]


def test_a_lossy_tokenizer_says_so() -> None:
    tokenizer = wrap("wordpiece")
    result = diff_pair("the area, 24", "the area, 48", tokenizer)
    assert result.lossy
    assert result.completion == tokenizer.decode(result.completion_ids)
    assert not diff_pair("the", "answer", byte_level_bpe()).lossy
