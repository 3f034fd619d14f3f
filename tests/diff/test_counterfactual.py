"""Counterfactual weights: what the policy would not have mended by itself weighs much."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.mask import MaskConfig
from dfgen.diff.hunks import Hunk
from dfgen.diff.pair import PairDiff, diff_pair
from dfgen.diff.spans import Span
from dfgen.diff.weights import counterfactual_weights
from dfgen.tokens.loading import load_tokenizer

TOKENIZER = load_tokenizer("demo:policy")
WRONG = "Step 1: red circles: I see 4.\nStep 2: adding up, 4 + 2 = 6.\nAnswer: 6"


def compare(wrong: str, right: str, **config: object) -> PairDiff:
    return diff_pair(wrong, right, TOKENIZER, MaskConfig(**config))  # type: ignore[arg-type]


def make_logprobs(diff: PairDiff, probabilities: dict[str, float]) -> list[float]:
    """Certain of every token but the new ones whose text is named."""
    found = []
    for token, new in zip(diff.repair_ids.tolist(), diff.repair_mask, strict=True):
        text = TOKENIZER.decode([token]).strip()
        found.append(math.log(probabilities.get(text, 1.0)) if new else 0.0)
    return found


def weights_of(diff: PairDiff, logprobs: list[float]) -> dict[str, float]:
    """Weight of each marked token, by the text that it belongs to, in order."""
    weights = counterfactual_weights(diff, logprobs)
    assert not weights[~diff.loss_mask].any()
    return {
        f"{index} {TOKENIZER.decode([token]).strip()}": round(float(weight), 4)
        for index, (token, weight) in enumerate(
            zip(diff.completion_ids.tolist(), weights, strict=True)
        )
        if diff.loss_mask[index]
    }


def test_roots_weigh_much_and_consequences_little() -> None:
    """The count was a mistake of its own; that the sum follows from it the policy knows."""
    right = WRONG.replace("4", "3").replace("6", "5")
    diff = compare(WRONG, right)
    logprobs = [0.0] * len(diff.repair_ids)
    new = np.flatnonzero(diff.repair_mask).tolist()
    for place, probability in zip(new, (0.05, 0.9, 0.95, 0.99), strict=True):
        logprobs[place] = math.log(probability)
    assert list(weights_of(diff, logprobs).values()) == pytest.approx([0.95, 0.1, 0.05, 0.01])


@dataclass
class OneHunk:
    """A difference of n wrong tokens that became m new ones, and nothing else."""

    n: int
    m: int

    def __post_init__(self) -> None:
        wrong, right = Span(0, self.n), Span(0, self.m)
        texts = ("w" * self.n, "r" * self.m)
        hunk = Hunk("substitution", wrong, right, *texts, wrong, right, 0, 0, in_mask=True)
        self.hunks = [hunk]
        self.marked = [tuple(range(self.n))]
        self.loss_mask = np.ones(self.n, dtype=bool)
        self.repair_mask = np.ones(self.m, dtype=bool)


def spread(n: int, logprobs: list[float]) -> list[float]:
    """Weights of n wrong tokens for new ones with these logprobs."""
    diff = OneHunk(n, len(logprobs))
    return [round(w, 4) for w in counterfactual_weights(diff, logprobs).tolist()]


def test_tokens_of_a_hunk_are_matched_in_order() -> None:
    low, half, sure = math.log(0.1), math.log(0.5), 0.0
    assert spread(3, [low, half, sure]) == pytest.approx([0.9, 0.5, 0.0], abs=1e-6)
    assert spread(1, [sure, half, low]) == pytest.approx([0.9], abs=1e-6)
    assert spread(3, [half]) == pytest.approx([0.5] * 3, abs=1e-6)
    # Two for three: the middle one is shared by both.
    assert spread(2, [sure, low, sure]) == pytest.approx([0.9, 0.9], abs=1e-6)
    assert spread(2, [low, sure, sure]) == pytest.approx([0.9, 0.0], abs=1e-6)


def test_a_deletion_asks_for_what_comes_next_instead() -> None:
    diff = compare("red circles: I see 4. 4 + 2", "red circles: 4 + 2")
    next_place = diff.hunks[0].right_tokens.start
    for probability, weight in ((0.99, 0.01), (0.2, 0.8)):
        logprobs = [0.0] * len(diff.repair_ids)
        logprobs[next_place] = math.log(probability)
        values = list(weights_of(diff, logprobs).values())
        assert values == pytest.approx([weight] * len(values))


def test_a_deletion_at_the_end_is_nobodys_guess() -> None:
    diff = compare("red circles: I see 4", "red circles:")
    assert set(weights_of(diff, [0.0] * len(diff.repair_ids)).values()) == {1.0}


def test_anchors_weigh_as_the_heaviest_new_token() -> None:
    diff = compare("red circles. blue squares", "red circles. I see 4. blue squares")
    new = np.flatnonzero(diff.repair_mask).tolist()
    logprobs = [0.0] * len(diff.repair_ids)
    logprobs[new[1]] = math.log(0.25)
    assert set(weights_of(diff, logprobs).values()) == {0.75}


def test_other_lengths_are_refused() -> None:
    diff = compare("I see 4", "I see 3")
    with pytest.raises(ValueError, match="logprobs for"):
        counterfactual_weights(diff, [0.0])


WORDS = st.lists(
    st.sampled_from(["red", "blue", "circles", "I", "see", "1", "2", "3", "4", "+", "=", "."]),
    min_size=1,
    max_size=12,
).map(" ".join)


@given(WORDS, WORDS, st.data())
def test_weights_are_shares_of_marked_tokens(wrong: str, right: str, data: st.DataObject) -> None:
    diff = compare(wrong, right)
    size = len(diff.repair_ids)
    logprobs = data.draw(st.lists(st.floats(-30, 0), min_size=size, max_size=size))
    weights = counterfactual_weights(diff, logprobs)
    assert weights.dtype == np.float32 and weights.shape == diff.loss_mask.shape
    assert ((weights >= 0) & (weights <= 1)).all()
    assert not weights[~diff.loss_mask].any()
    # The less likely a new token is, the more there is to learn: nothing becomes lighter.
    less = counterfactual_weights(diff, [value - 1 for value in logprobs])
    assert (less >= weights - 1e-6).all()
    sure = counterfactual_weights(diff, [0.0] * size)
    ends = [h for h in diff.hunks if h.in_mask and h.right_tokens.start == size]
    assert not sure.any() or ends
