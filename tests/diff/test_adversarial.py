"""Input made to be slow stays near-linear, and says when it is no longer exact."""

from __future__ import annotations

import random
import time

import pytest

from dfgen.diff import apply_hunks
from dfgen.diff.align import align_units, find_anchors, measure_edit
from tests.diff.pairs import diff
from tests.support.small_tokenizers import one_token_per_byte

#: generous: a quadratic path takes minutes
SECONDS = 30


def noise(seed: int, length: int, alphabet: str) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice(alphabet) for _ in range(length))


STEP = "Step 3: we add.\n"
CASES = {
    "equal tokens": ("a " * 50_000, "a " * 50_000 + "b"),
    "equal tokens, one fewer": ("a " * 50_000, "a " * 49_999),
    "repeated steps": (STEP * 3_000, STEP * 1_500 + "Step 4: so.\n" + STEP * 1_500),
    "repeated steps, some dropped": (STEP * 3_000, STEP * 2_000),
    "one letter": ("a" * 100_000, "a" * 99_999),
    "one sign": ("." * 100_000, ". " * 50_000),
    "brackets": ("(" * 50_000, ")" * 50_000),
    "open formulas": ("\\(" * 30_000, "\\[" * 30_000),
    "dollars": ("$ a" * 20_000, "$$ a" * 20_000),
    "stars": ("* " * 30_000, "** " * 30_000),
    "sentences": ("e.g. A. " * 10_000, "i.e. B. " * 10_000),
    "digits": ("1" * 50_000, "1" * 49_000 + "2" * 1_000),
    "commas": ("1," * 30_000, "1." * 30_000),
    "hyphens": ("ab-" * 30_000, "ab_" * 30_000),
    "tags": ("<think>" * 8_000, "</think>" * 8_000),
    "line breaks": ("\n" * 60_000, "\n \n" * 20_000),
    "combining marks": ("e" + "\u0301" * 50_000, "e" + "\u0300" * 50_000),
    "zero width": ("\u200b" * 50_000, "\u200d" * 50_000),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_time_stays_bounded(name: str) -> None:
    wrong, right = CASES[name]
    started = time.process_time()
    result = diff(wrong, right, one_token_per_byte())
    assert time.process_time() - started < SECONDS
    assert apply_hunks(result.completion, result.hunks) == right


@pytest.mark.parametrize("alphabet", ["ab ", "a b c d e f "])
def test_long_and_different_texts_are_flagged(alphabet: str) -> None:
    wrong, right = noise(1, 60_000, alphabet), noise(2, 60_000, alphabet)
    result = diff(wrong, right, one_token_per_byte(), max_cells=10_000_000)
    assert result.quality.approximate
    assert apply_hunks(result.completion, result.hunks) == right


def test_long_and_similar_texts_stay_exact() -> None:
    words = noise(3, 60_000, "abcdefgh ").split()
    changed = [*words[:500], "new", *words[500:-500], *words[-499:]]
    result = diff(" ".join(words), " ".join(changed), one_token_per_byte(), max_cells=10_000)
    assert not result.quality.approximate
    assert len(result.hunks) == 2


def test_windows_are_a_valid_script() -> None:
    rng = random.Random(5)
    wrong = [str(rng.randrange(40)) for _ in range(900)] + [f"u{i}" for i in range(20)]
    right = [str(rng.randrange(40)) for _ in range(800)] + [f"u{i}" for i in range(20)]
    edits, approximate = align_units(wrong, right, 10_000)
    assert approximate
    exact, _ = align_units(wrong, right, 10**9)
    built: list[str] = []
    at = 0
    for edit in edits:
        built += wrong[at : edit.i0] + right[edit.j0 : edit.j1]
        at = edit.i1
    assert built + wrong[at:] == right
    assert sum(map(measure_edit, edits)) <= 1.5 * sum(map(measure_edit, exact))


def test_anchors_are_unique_and_in_order() -> None:
    wrong, right = list("xaybzc"), list("cxbyzza")
    anchors = find_anchors(wrong, right)
    assert anchors == sorted(anchors)
    assert all(wrong[i] == right[j] for i, j in anchors)
    assert [wrong[i] for i, _ in anchors] == ["x", "y"] or len(anchors) >= 2
