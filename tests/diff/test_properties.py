"""The promises of a mask, on random texts in several scripts and every family of tokenizers."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.mask import MaskConfig
from dfgen.diff import PairDiff, apply_hunks, diff_pair
from dfgen.tokens import TextTokenizer
from tests.tokens.families import ALL

WORDS = {
    "latin": ["the", "cat", "Cat", "naïve", "e\u0301", "don't", "well-known", "a", "A", "I"],
    "cyrillic": ["Зошит", "мама", "і", "об'єкт", "Я"],
    "han": ["你", "好", "世界", "カタカナ", "の"],
    "devanagari": ["नमस्ते", "हिन्दी", "में"],
    "arabic": ["مرحبا", "بالعالم", "٣٤"],
    "thai": ["ไทย", "ภาษา", "น้ำ"],
    "math": ["46", "146", "3.5", "0.50", "1,000", "\\frac{1}{2}", "\\dfrac{1}{2}", "x", "^", "$"],
    "marks": [".", ",", "(", ")", "**", "-", "%", "cm", "=", "😀", "\u200d"],
    "steps": ["Step 1:", "Answer:", "<think>", "</think>"],
}  # fmt: skip
ATOMS = [atom for atoms in WORDS.values() for atom in atoms]
BLANKS = ["", " ", " ", " ", "  ", "\n", "\n\n"]
PIECES = st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(BLANKS)), max_size=14)
CONFIGS = st.builds(
    MaskConfig,
    whole_atoms=st.booleans(),
    ties=st.booleans(),
    crumbs=st.booleans(),
    format_only=st.booleans(),
    moves=st.booleans(),
    insertion_anchor=st.sampled_from(["next", "previous", "both", "none"]),
    consequence_weight=st.sampled_from([None, 0.0, 0.3]),
    max_cells=st.sampled_from([10**9, 10_000]),
)
FAMILIES = pytest.mark.parametrize("family", sorted(ALL))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    """A text and a version of it with some pieces replaced, dropped, doubled or put in."""
    wrong = draw(PIECES)
    right = list(wrong)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(right)))
        size = draw(st.integers(0, 3))
        right[at : at + size] = draw(PIECES)[: draw(st.integers(0, 3))]
    return "".join(map("".join, wrong)), "".join(map("".join, right))


def is_subsequence(short: Iterable[int], long: Iterable[int]) -> bool:
    rest = iter(long)
    return all(item in rest for item in short)


def list_outside(ids: np.ndarray, edges: np.ndarray, spans: Iterable[tuple[int, int]]) -> list[int]:
    """The tokens with text that lie outside all spans."""
    keep = edges[1:] > edges[:-1]
    for start, end in spans:
        keep[start:end] = False
    return ids[keep].tolist()


def check(result: PairDiff, tokenizer: TextTokenizer) -> None:
    t, u, s = len(result.completion_ids), len(result.repair_ids), len(result.step_labels)
    assert result.loss_mask.shape == result.token_ops.shape == result.step_ids.shape == (t,)
    assert result.gap_mask.shape == result.token_bytes.shape == (t + 1,)
    assert result.repair_mask.shape == (u,)
    assert len(result.step_changed) == len(result.step_roles) == s
    assert result.loss_mask.dtype == result.gap_mask.dtype == result.repair_mask.dtype == np.bool_
    assert result.token_ops.dtype == np.int8 and result.step_ids.dtype == np.int16
    assert result.completion_ids.dtype == result.repair_ids.dtype == np.int32
    assert result.token_bytes.dtype == np.int32 and result.step_changed.dtype == np.float32

    assert tokenizer.decode(result.completion_ids) == result.completion
    assert tokenizer.decode(result.repair_ids) == result.repair
    assert apply_hunks(result.completion, result.hunks) == result.repair

    edges = result.token_bytes
    shown = edges[1:] > edges[:-1]
    equal = result.completion_ids[(result.token_ops == 0) & shown].tolist()
    assert is_subsequence(equal, result.repair_ids.tolist())
    assert list_outside(
        result.completion_ids, edges, [h.wrong_tokens for h in result.hunks]
    ) == list_outside(
        result.repair_ids,
        tokenizer.byte_offsets(result.repair_ids),
        [h.right_tokens for h in result.hunks],
    )
    assert not result.loss_mask[~shown].any()
    assert not result.loss_mask[result.token_ops >= 3].any() or any(
        not hunk.in_mask for hunk in result.hunks
    )
    for one, other in pairwise(result.hunks):
        assert one.wrong_bytes.end <= other.wrong_bytes.start
        assert one.right_bytes.end <= other.right_bytes.start
    assert all(hunk.wrong_text != hunk.right_text for hunk in result.hunks)

    assert (np.diff(result.step_ids) >= 0).all()
    assert result.first_error_step == (
        int(np.flatnonzero(result.step_labels)[0]) if result.step_labels.any() else -1
    )
    assert ((result.step_changed > 0) == result.step_labels).all()
    assert (result.step_changed <= 1).all()
    assert [role == "unchanged" for role in result.step_roles] == [
        not label for label in result.step_labels
    ]
    if result.weights is not None:
        assert result.weights.dtype == np.float32
        assert ((result.weights >= 0) & (result.weights <= 1)).all()
        assert not result.weights[~result.loss_mask].any()
    assert 0 <= result.quality.edit_ratio <= 1
    assert 0 <= result.quality.format_only_share <= 1


@FAMILIES
@given(pair=pairs(), config=CONFIGS)
def test_invariants(family: str, pair: tuple[str, str], config: MaskConfig) -> None:
    tokenizer = ALL[family]()
    check(diff_pair(*pair, tokenizer, config), tokenizer)


@FAMILIES
@given(text=PIECES, config=CONFIGS)
def test_equal_texts_mark_nothing(
    family: str, text: list[tuple[str, str]], config: MaskConfig
) -> None:
    whole = "".join(map("".join, text))
    result = diff_pair(whole, whole, ALL[family](), config)
    assert not result.hunks
    assert not result.loss_mask.any() and not result.repair_mask.any()
    assert not result.gap_mask.any() and not result.token_ops.any()


@given(pair=pairs(), config=CONFIGS)
def test_a_repaired_text_needs_no_repair(pair: tuple[str, str], config: MaskConfig) -> None:
    tokenizer = ALL["bpe"]()
    first = diff_pair(*pair, tokenizer, config)
    again = diff_pair(first.repair, first.repair, tokenizer, config)
    assert not again.loss_mask.any()
    assert diff_pair(*pair, tokenizer, config).hunks == first.hunks


@given(pair=pairs())
def test_both_directions_cost_the_same(pair: tuple[str, str]) -> None:
    """The shortest script is as long in one direction as in the other."""
    from dfgen.diff.align import align_units, measure_edit
    from dfgen.diff.atoms import split_atoms

    one, other = (split_atoms(text).keys for text in pair)
    there, _ = align_units(one, other, 10**9)
    back, _ = align_units(other, one, 10**9)
    assert sum(map(measure_edit, there)) == sum(map(measure_edit, back))


def count_edits(wrong: list[str], right: list[str]) -> int:
    """The textbook dynamic programme."""
    row = list(range(len(right) + 1))
    for i, mine in enumerate(wrong, start=1):
        last, row[0] = row[0], i
        for j, theirs in enumerate(right, start=1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (mine != theirs))
    return row[-1]


@given(pair=pairs())
def test_the_script_is_as_short_as_can_be(pair: tuple[str, str]) -> None:
    from dfgen.diff.align import align_units, measure_edit
    from dfgen.diff.atoms import split_atoms
    from dfgen.diff.ties import settle_ties

    wrong, right = (split_atoms(text) for text in pair)
    edits, _ = align_units(wrong.keys, right.keys, 10**9)
    settled, _ = settle_ties(edits, wrong, right)
    shortest = count_edits(wrong.keys, right.keys)
    assert sum(map(measure_edit, edits)) == shortest
    assert sum(map(measure_edit, settled)) == shortest
    assert len(settled) <= len(edits)


@given(
    pair=pairs(),
    before=st.lists(st.sampled_from(ATOMS), max_size=6),
    behind=st.lists(st.sampled_from(ATOMS), max_size=6),
)
def test_what_stands_around_the_hunks_does_not_matter(
    pair: tuple[str, str], before: list[str], behind: list[str]
) -> None:
    """The hunks are the same with other equal text in front and behind."""
    tokenizer = ALL["bytes"]()

    def find(head: str, tail: str) -> list[tuple[int, str, str, str]]:
        frame = f"{head}\n\nBEGIN\n\n", f"\n\nEND\n\n{tail}"
        wrong, right = (f"{frame[0]}{text}{frame[1]}" for text in pair)
        shift = len(frame[0].encode())
        return [
            (h.wrong_bytes.start - shift, h.kind, h.wrong_text, h.right_text)
            for h in diff_pair(wrong, right, tokenizer).hunks
        ]

    assert find(" ".join(before), " ".join(behind)) == find("", "")


# Words recur in no list: which of two equal ones was replaced cannot be seen.
@given(
    words=st.lists(st.sampled_from(ATOMS[:26]), min_size=3, max_size=25, unique_by=str.casefold),
    data=st.data(),
)
def test_random_word_edits_are_recovered(words: list[str], data: st.DataObject) -> None:
    """Words replaced by new ones are marked, and nothing else is."""
    places = data.draw(st.sets(st.integers(0, len(words) - 1), max_size=4))
    new = [f"new{i}" if i in places else word for i, word in enumerate(words)]
    tokenizer = ALL["bytes"]()
    wrong = " ".join(words)
    result = diff_pair(wrong, " ".join(new), tokenizer, MaskConfig(crumbs=False))
    at = 0
    for index, word in enumerate(words):
        size = len(word.encode())
        assert (result.loss_mask[at : at + size] == (index in places)).all()
        at += size + 1
