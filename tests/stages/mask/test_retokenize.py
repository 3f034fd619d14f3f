"""Masks carried to another tokenizer mark the same bytes."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from dfgen.records import Mask
from dfgen.stages.mask.retokenize import retokenize_mask
from dfgen.validate.masks import check_masks
from tests.support.small_tokenizers import byte_level_bpe, one_token_per_byte
from tests.validate.test_masks import make_mask

TEXT = st.text(alphabet="ab 12.\nжд世é", max_size=40)


def marked_bytes(mask: Mask) -> set[int]:
    return {
        byte
        for index, masked in enumerate(mask.loss_mask)
        if masked
        for byte in range(mask.token_bytes[index], mask.token_bytes[index + 1])
    }


@example(" 1", "世1")
@given(TEXT, TEXT)
def test_marked_bytes_are_the_hunks_bytes(wrong: str, right: str) -> None:
    mask = make_mask(wrong, right)
    fine = retokenize_mask(mask, one_token_per_byte())
    assert list(check_masks([fine.model_dump()], one_token_per_byte())) == []
    assert marked_bytes(fine) <= marked_bytes(mask)


@given(TEXT, TEXT)
def test_there_and_back_is_the_same_mask(wrong: str, right: str) -> None:
    mask = make_mask(wrong, right)
    back = retokenize_mask(mask, byte_level_bpe())
    assert back.loss_mask == mask.loss_mask
    assert back.gap_mask == mask.gap_mask
    assert back.repair_mask == mask.repair_mask
    assert back.step_ids == mask.step_ids


def test_unrepaired_rows_keep_all_or_nothing() -> None:
    row = make_mask().model_dump()
    unrepaired = (
        "token_ops",
        "gap_mask",
        "repair",
        "repair_ids",
        "repair_mask",
        "hunks",
        "quality",
    )
    steps = ("step_labels", "step_changed", "step_roles", "first_error_step")
    row.update(dict.fromkeys((*unrepaired, *steps)), mask_source="outcome")
    row["loss_mask"] = [True] * len(row["loss_mask"])
    fine = retokenize_mask(Mask.model_validate(row), one_token_per_byte())
    assert all(fine.loss_mask)
    assert len(fine.loss_mask) == len(fine.completion_ids) == len(fine.completion.encode())


def test_weights_go_along() -> None:
    mask = make_mask()
    weighted = mask.model_copy(update={"weights": [0.5 if m else 0.0 for m in mask.loss_mask]})
    fine = retokenize_mask(weighted, one_token_per_byte())
    assert fine.weights is not None
    assert [weight > 0 for weight in fine.weights] == [
        any(start <= byte < end for byte in marked_bytes(mask))
        for start, end in zip(fine.token_bytes, fine.token_bytes[1:], strict=False)
    ]
