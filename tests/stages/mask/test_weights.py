"""Agreement and necessity on real differences."""

from __future__ import annotations

import json

import pytest

from dfgen.config.mask import MaskConfig
from dfgen.demo import locate_model
from dfgen.diff.pair import diff_pair
from dfgen.records import Necessity, Repair, VerdictInfo
from dfgen.stages.mask.rows import prepare_repaired
from dfgen.stages.mask.weights import weigh_tokens
from dfgen.stages.repair.compare import copy_repair
from dfgen.tokens.loading import load_tokenizer
from dfgen.tokens.tokenizer import TextTokenizer
from tests.stages.repair.test_select import make

WRONG = "I see 3 red circles. I see 2 blue squares. Answer: 5"
BEST = "I see 4 red circles. I see 2 blue squares. Answer: 6"
OTHER = "I see 4 red circles. I see 2 blue triangles. Answer: 6"


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return load_tokenizer(str(locate_model("policy")), None)


def make_repair(**fields: object) -> Repair:
    verdict = VerdictInfo(
        correct=True, grader="auto", extracted="6", expected="6", method="", detail=""
    )
    values = {
        "trajectory_id": "p-0",
        "prompt_id": "p",
        "sample_index": 0,
        "repair": BEST,
        "protocol": "hunks",
        "edits": None,
        "reward": 1.0,
        "verdict": verdict,
        "edit_ratio": 0.1,
        "step_edit_ratio": 0.5,
        "answer_only": False,
        "attempts": [],
        "model": "m",
        "cost_usd": 0.5,
    }
    return Repair.model_validate({**values, **fields})


def make_entry(at: int, needed: bool, weight: float, **fields: object) -> Necessity:
    """The verdict on the word of one byte at a place that both texts share."""
    span = {"start": at, "end": at + 1, "repair_start": at, "repair_end": at + 1}
    return Necessity.model_validate({**span, "needed": needed, "weight": weight, **fields})


def weigh(repair: Repair, tokenizer: TextTokenizer) -> dict[str, float] | None:
    trajectory = make("p-0", WRONG, completion_ids=tokenizer.encode(WRONG))
    config = MaskConfig()
    diff = diff_pair(WRONG, repair.repair, tokenizer, config)
    weights = weigh_tokens(diff, repair, trajectory, tokenizer, config)
    if weights is None:
        return None
    words: dict[str, float] = {}
    for word in ("3", "squares", "5"):
        at = WRONG.index(word)
        inside = [
            float(weight)
            for weight, start, end in zip(
                weights, diff.token_bytes, diff.token_bytes[1:], strict=False
            )
            if start < at + len(word) and end > at
        ]
        words[word] = max(inside)
    return words


def test_one_repair_alone_has_no_weights(tokenizer: TextTokenizer) -> None:
    assert weigh(make_repair(), tokenizer) is None


def test_agreement_is_the_share_of_repairs(tokenizer: TextTokenizer) -> None:
    weights = weigh(make_repair(alternatives=[OTHER]), tokenizer)
    assert weights == {"3": 1.0, "squares": 0.5, "5": 1.0}


def test_necessity_lowers_the_weight_of_a_hunk(tokenizer: TextTokenizer) -> None:
    at, last = WRONG.index("3"), len(WRONG) - 1
    tests = [make_entry(at, False, 0.25), make_entry(last, True, 1.0)]
    assert weigh(make_repair(necessity=tests), tokenizer) == {"3": 0.25, "squares": 0.0, "5": 1.0}


def test_weights_and_reasons_reach_the_mask_row(tokenizer: TextTokenizer) -> None:
    edits = [{"find": "see 3", "replace": "see 4", "reason": "one is hidden", "kind": "perception"}]
    repair = make_repair(alternatives=[OTHER], edits=json.dumps(edits))
    trajectory = make("p-0", WRONG, completion_ids=tokenizer.encode(WRONG))
    mask = prepare_repaired(trajectory, repair, tokenizer, MaskConfig())()
    assert mask.weights is not None
    assert set(mask.weights) == {0.0, 0.5, 1.0}
    hunks = json.loads(mask.hunks or "")
    assert (hunks[0]["reason"], hunks[0]["reason_kind"]) == ("one is hidden", "perception")


def test_a_copy_is_measured_on_its_own_ids(tokenizer: TextTokenizer) -> None:
    by_byte = [token for char in WRONG for token in tokenizer.encode(char)]
    assert tokenizer.decode(by_byte) == WRONG
    copy = copy_repair(
        make("p-7", WRONG, completion_ids=by_byte), make_repair(), tokenizer, MaskConfig()
    )
    assert (copy.trajectory_id, copy.sample_index, copy.copy_of) == ("p-7", 7, "p-0")
    assert (copy.attempts, copy.cost_usd) == ([], 0.0)
    canonical = copy_repair(
        make("p-8", WRONG, completion_ids=tokenizer.encode(WRONG)),
        make_repair(),
        tokenizer,
        MaskConfig(),
    )
    assert 0 < copy.edit_ratio != canonical.edit_ratio
