"""The ladder: for every check a repair that it refuses and one that it lets pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dfgen.config.grade import GradeConfig
from dfgen.config.mask import MaskConfig
from dfgen.config.repair import RepairConfig
from dfgen.demo import locate_model
from dfgen.grade.pool import GradePool
from dfgen.records import Trajectory, VerdictInfo
from dfgen.stages.repair.checks import CHECKS, Candidate, judge_candidate
from dfgen.stages.repair.compare import Comparison
from dfgen.stages.repair.parse import parse_output
from dfgen.stages.sample.draws import AnswerKey
from dfgen.tokens.loading import load_tokenizer
from dfgen.tokens.tokenizer import TextTokenizer

WRONG = "I see 3 red circles and there are 2 blue squares. So 3 + 2 = 5.\nAnswer: 5"
RIGHT = "I see 4 red circles and there are 2 blue squares. So 4 + 2 = 6.\nAnswer: 6"
SLIP = "I see 4 red circles and there are 2 blue squares. So 4 + 2 = 6.\nAnswer: 5"
GERMAN = "Ich sehe 4 rote Kreise und es sind nicht mehr, mit den Quadraten der Reihe. 4 + 2 = 6.\n"
HALF = "The jug is filled to the mark on its side and it holds a good deal.\nAnswer: 0.3"


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return load_tokenizer(str(locate_model("policy")), None)


@pytest.fixture(scope="module")
def pool() -> Iterator[GradePool]:
    with GradePool(GradeConfig()) as graders:
        yield graders


def make_trajectory(text: str, tokenizer: TextTokenizer) -> Trajectory:
    verdict = VerdictInfo(
        correct=False, grader="auto", extracted="5", expected="6", method="", detail=""
    )
    return Trajectory(
        trajectory_id="a-0",
        prompt_id="a",
        sample_index=0,
        completion=text,
        completion_ids=tokenizer.encode(text),
        ids_source="encoded",
        logprobs=None,
        finish_reason="stop",
        stop_reason=None,
        prompt_tokens=None,
        image_tokens=None,
        seed=None,
        model="m",
        reward=0.0,
        verdict=verdict,
        metadata="{}",
    )


TABLE: list[tuple[str, dict[str, Any]]] = [
    ("accepted", {"output": RIGHT}),
    ("accepted", {"output": "Answer: 6", "original": "Answer: 5", "max_edit_ratio": 1.0}),
    ("not_finished", {"output": RIGHT, "finish": "length"}),
    ("not_finished", {"output": RIGHT, "finish": "content_filter"}),
    ("unreadable", {"output": "prose", "protocol": "hunks"}),
    (
        "does_not_apply",
        {"output": '{"edits": [{"find": "no", "replace": "x"}]}', "protocol": "hunks"},
    ),
    ("empty", {"output": "  "}),
    ("unchanged", {"output": WRONG}),
    ("unchanged", {"output": '{"edits": []}', "protocol": "hunks"}),
    ("too_long", {"output": RIGHT + " and" * 2000, "max_edit_ratio": 1.0}),
    ("control_characters", {"output": RIGHT.replace("red", "\u202ered")}),
    ("control_characters", {"output": RIGHT.replace("red", "\x07red")}),
    ("over_token_budget", {"output": "By looking at it closely one finds six. Answer: 6"}),
    ("over_step_budget", {"output": RIGHT, "max_step_ratio": 0.3}),
    ("over_hunk_budget", {"output": RIGHT, "max_hunks": 2}),
    ("meta_talk", {"output": "The original answer was bad. " + RIGHT}),
    ("meta_talk", {"output": RIGHT.replace("So 4", "Correction: So 4")}),
    ("accepted", {"output": "The original answer was bad. " + RIGHT, "allow": ["meta_talk"]}),
    ("language", {"output": GERMAN + RIGHT, "max_edit_ratio": 1.0}),
    ("language", {"output": RIGHT.replace("red circles", "красных кругов"), "max_edit_ratio": 1.0}),
    ("answer_wrong", {"output": WRONG.replace("see 3", "see 4")}),
    ("answer_only", {"output": WRONG.replace("Answer: 5", "Answer: 6")}),
    ("accepted", {"output": WRONG.replace("Answer: 5", "Answer: 6"), "allow": ["answer_only"]}),
    ("accepted", {"output": RIGHT, "original": SLIP}),
    ("leak", {"output": "We get 6 here. " + RIGHT}),
    ("leak", {"output": "We get six here. " + RIGHT}),
    ("accepted", {"output": "We get 6 here. " + RIGHT, "answer_shown": "blind"}),
    ("accepted", {"output": RIGHT.replace("So 4", "Now 5 + 1 = 6, so 4")}),
    (
        "leak",
        {
            "output": HALF.replace("is filled", "with \\frac{1}{2} is filled").replace(
                "0.3", "0.5"
            ),
            "original": HALF,
            "answer": "0.5",
        },
    ),
    (
        "leak",
        {
            "output": HALF.replace("is filled", "at 50 % is filled").replace("0.3", "0.5"),
            "original": HALF,
            "answer": "0.5",
        },
    ),
    (
        "answer_only",
        {
            "output": "The bar on the left is clearly the tallest one of all.\nAnswer: B",
            "original": "The bar on the left is clearly the tallest one of all.\nAnswer: A",
            "answer": "B",
            "choices": ("right", "middle"),
        },
    ),
    (
        "accepted",
        {
            "output": "The bar on the left is clearly the tallest one of all.\nAnswer: B",
            "original": "The bar on the left is clearly the tallest one of all.\nAnswer: A",
            "answer": "B",
            "choices": ("right", "left"),
        },
    ),
]


@pytest.mark.parametrize(("code", "case"), TABLE, ids=lambda value: str(value)[:60])
def test_ladder(code: str, case: dict[str, Any], tokenizer: TextTokenizer, pool: GradePool) -> None:
    settings = dict(case)
    shown = settings.pop("answer_shown", "given")
    reference = settings.pop("answer", "6")
    original = settings.pop("original", WRONG)
    config = {
        name: settings.pop(name)
        for name in ("protocol", "max_step_ratio", "max_edit_ratio", "max_hunks", "allow")
        if name in settings
    }
    config.setdefault("max_edit_ratio", 0.6)
    found = judge_with(tokenizer, pool, settings, original, reference, {**config, "answer": shown})
    assert found == code


def judge_with(
    tokenizer: TextTokenizer,
    pool: GradePool,
    case: dict[str, Any],
    original: str,
    reference: str,
    config: dict[str, Any],
) -> str:
    section = RepairConfig(**config)
    key = AnswerKey(answer=reference, answer_type="auto", choices=list(case.get("choices", ())))
    proposal = parse_output(case["output"], original, section)
    comparison = Comparison(
        make_trajectory(original, tokenizer), proposal, key, tokenizer, pool, MaskConfig()
    )
    candidate = Candidate(
        proposal,
        original,
        case.get("finish", "stop"),
        reference,
        case.get("choices", ()),
        lambda: comparison.diff,
        lambda: comparison.verdict,
        lambda: comparison.answer_only,
    )
    return judge_candidate(candidate, section)[0]


def test_every_check_is_in_the_table_of_this_test() -> None:
    assert {code for code, _ in CHECKS} <= {code for code, _ in TABLE}


def test_necessity_finds_the_hunk_that_decides(tokenizer: TextTokenizer, pool: GradePool) -> None:
    key = AnswerKey(answer="6", answer_type="auto", choices=[])
    proposal = parse_output(RIGHT, WRONG, RepairConfig())
    comparison = Comparison(
        make_trajectory(WRONG, tokenizer), proposal, key, tokenizer, pool, MaskConfig()
    )
    tests = comparison.test_necessity(0.25)
    assert [test.needed for test in tests] == [False] * (len(tests) - 1) + [True]
    assert [test.weight for test in tests] == [0.25] * (len(tests) - 1) + [1.0]
    assert WRONG.encode()[tests[0].start : tests[0].end] == b"3"
