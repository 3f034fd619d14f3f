"""The masks that dfgen's is compared with, from their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from dfgen.config.mask import MaskConfig
from dfgen.config.value import ValueConfig
from dfgen.diff.pair import PairDiff, diff_pair
from dfgen.stages.value.masks import OWN, make_masks
from dfgen.stages.value.planning import find_unwritten, list_places, plan_hunks
from dfgen.tokens import TextTokenizer, load_tokenizer

WRONG = "Step 1: there are 4 red.\nStep 2: there are 2 blue.\nStep 3: 4 + 2 = 6.\nAnswer: 6"
RIGHT = "Step 1: there are 4 red.\nStep 2: there are 3 blue.\nStep 3: 4 + 3 = 7.\nAnswer: 7"


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return load_tokenizer("demo:policy")


@pytest.fixture(scope="module")
def diff(tokenizer: TextTokenizer) -> PairDiff:
    return diff_pair(WRONG, RIGHT, tokenizer, MaskConfig())


def test_controls_are_what_their_names_say(diff: PairDiff, tokenizer: TextTokenizer) -> None:
    own = diff.loss_mask
    count, first = int(own.sum()), int(np.flatnonzero(own)[0])
    logprobs = np.linspace(-9, -1, len(own))
    masks = make_masks(diff, logprobs.tolist(), seed=3)
    assert masks[OWN].tolist() == own.tolist()
    # The lowest are the least probable, not the most.
    assert np.flatnonzero(masks["lowest_logprob"]).tolist() == list(range(count))
    assert masks["random"].sum() == count and masks["random"].tolist() != own.tolist()
    assert np.flatnonzero(masks["first_token"]).tolist() == [first]
    assert np.flatnonzero(masks["suffix"]).tolist() == list(range(first, len(own)))
    ids = np.asarray(diff.completion_ids)
    assert (
        tokenizer.decode(ids[masks["first_step"]].tolist()).strip() == "Step 2: there are 2 blue."
    )
    answer = masks["answer_only"]
    assert answer.any() and not (answer & ~own).any()
    assert tokenizer.decode(ids[answer].tolist()).strip() == "6"
    assert int(np.flatnonzero(answer)[0]) > len(tokenizer.encode(WRONG.rpartition("\n")[0]))
    assert set(make_masks(diff, None, seed=3)) == set(masks) - {"lowest_logprob"}
    assert set(make_masks(diff, None, seed=3, controls=False)) == {OWN}


def test_random_is_another_for_each_answer_and_the_same_again(diff: PairDiff) -> None:
    drawn = [tuple(make_masks(diff, None, seed)["random"].tolist()) for seed in range(20)]
    assert len(set(drawn)) > 15
    assert drawn == [tuple(make_masks(diff, None, seed)["random"].tolist()) for seed in range(20)]
    often = np.mean(drawn, axis=0)
    assert often.max() < 0.5, "every token has the same chance"


def test_hunks_are_drawn_on_from_their_own_ends(diff: PairDiff, tokenizer: TextTokenizer) -> None:
    hunks = [hunk for hunk in plan_hunks(diff, ValueConfig(repaired="all")) if hunk is not None]
    wrong, right = diff.completion_ids.tolist(), diff.repair_ids.tolist()
    before = [tokenizer.decode(wrong[: hunk.start]).split()[-1] for hunk in hunks]
    after = [tokenizer.decode(wrong[: hunk.end]).split()[-1].strip(".") for hunk in hunks]
    repaired = [tokenizer.decode(right[: h.repaired]).split()[-1].strip(".") for h in hunks]
    assert before == ["are", "+", "=", "Answer:"]
    assert after == ["2", "2", "6", "6"] and repaired == ["3", "3", "7", "7"]
    first, *others = [h for h in plan_hunks(diff, ValueConfig()) if h is not None]
    assert first.repaired == hunks[0].repaired and {h.repaired for h in others} == {None}


def test_values_are_needed_at_the_ends_of_runs_and_nowhere_else() -> None:
    mask = np.array([False, True, True, False, False, True])
    assert list_places([mask], []) == [("wrong", 0), ("wrong", 1), ("wrong", 3), ("wrong", 5),
                                       ("wrong", 6)]  # fmt: skip


def test_a_text_cannot_stand_for_half_a_character(tokenizer: TextTokenizer) -> None:
    assert find_unwritten(tokenizer, tokenizer.encode("Answer: 4")) is None
    assert find_unwritten(tokenizer, ()) is None
    said = find_unwritten(tokenizer, tokenizer.encode("a\U0001f600")[:-1])
    assert said is not None and "within a character" in said
