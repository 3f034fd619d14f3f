"""The parts of the score stage by themselves: gaps, plans, black pictures, journal records."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from dfgen.config.score import ScoreConfig
from dfgen.engines.base import Failure, ImageData, Message, ScoreResult
from dfgen.errors import InvalidDataError
from dfgen.records import ImageInfo, Reject
from dfgen.stages.mask.rows import check_side
from dfgen.stages.score.black import blacken, make_black
from dfgen.stages.score.gap import (
    EXACT,
    FEW,
    FIRST_LOOK,
    HALF,
    GapWatch,
    choose_limit,
    measure_gaps,
)
from dfgen.stages.score.planning import Plan, Planned, hash_ids, list_readings, plan_shard
from dfgen.stages.score.rows import Reading, from_record, is_enough, make_reading, to_record
from dfgen.tokens.loading import load_tokenizer
from dfgen.tokens.tokenizer import TextTokenizer

LOGPROBS = arrays(np.float32, 12, elements=st.floats(-30, 0, width=32))


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return load_tokenizer("demo:policy")


@given(LOGPROBS, LOGPROBS)
def test_a_gap_is_a_distance(one: np.ndarray, two: np.ndarray) -> None:
    assert not measure_gaps(one, one).any()
    assert np.array_equal(measure_gaps(one, two), measure_gaps(two, one))
    assert (measure_gaps(one, two) >= 0).all()


def test_gaps_of_numbers_that_are_none() -> None:
    minus = np.array([-np.inf, -np.inf, np.nan, -1], dtype=np.float32)
    other = np.array([-np.inf, -1, -1, -1], dtype=np.float32)
    assert measure_gaps(minus, other).tolist() == [0, math.inf, math.inf, 0]
    with pytest.raises(ValueError, match="4 stored logprobs and 3"):
        measure_gaps(minus, other[:3])


def make_watch(moved: int, by: float, rows: int = 40, **options: float) -> GapWatch:
    """A watch that has seen answers of 10 tokens, `moved` of which were moved."""
    watch = GapWatch(**{"limit": 0.01, "share": 0.01, **options})
    for index in range(rows):
        stored = np.full(10, -1, dtype=np.float32)
        scored = stored.copy()
        if index < moved:
            scored[3] -= by
        watch.add(f"p-{index}", stored, scored)
    return watch


@pytest.mark.parametrize(
    ("moved", "by", "too_far"), [(0, 1, False), (4, 1, False), (5, 1, True), (40, 0.009, False)]
)
def test_a_share_of_tokens_may_differ(moved: int, by: float, too_far: bool) -> None:
    watch = make_watch(moved, by)
    assert watch.is_too_far() == too_far
    assert watch.largest[0] == pytest.approx(by if moved else 0, abs=1e-6)


def test_few_tokens_prove_nothing_and_few_answers_are_no_time_to_look() -> None:
    assert not make_watch(FEW, 9.0, rows=FEW).is_too_far()
    assert make_watch(FEW + 1, 9.0, rows=FEW + 1).is_too_far()
    assert not make_watch(0, 0, rows=FIRST_LOOK - 1).is_time_to_look()
    assert make_watch(0, 0, rows=FIRST_LOOK).is_time_to_look()


def test_what_is_said_of_another_policy() -> None:
    watch = make_watch(20, 0.5)
    found, hint = watch.explain(
        {"dtype": "bfloat16", "model": "m"}, {"dtype": "float32", "model": "m"}
    )
    assert "20 of 400 tokens in the first 40 answers (5.0%)" in found
    assert "most by 0.5" in found and watch.largest[1] in found
    assert "dtype was bfloat16 and is float32" in hint and "model was" not in hint
    assert "after temperature" not in hint


def test_stored_logprobs_after_temperature_are_recognised() -> None:
    watch = GapWatch(0.01, 0.01)
    for index in range(40):
        raw = np.linspace(-3, 0, 10, dtype=np.float32)
        watch.add(f"p-{index}", raw / 2, raw, raw / 2)
    assert watch.is_too_far()
    assert "are those after temperature" in watch.explain({}, {})[1]


@pytest.mark.parametrize(
    ("setting", "dtype", "limit"),
    [
        (None, "float32", EXACT),
        (None, "bfloat16", HALF),
        (None, "float16", HALF),
        (None, None, HALF),
        (0.5, "float32", 0.5),
    ],
)
def test_the_limit_follows_the_dtype(
    setting: float | None, dtype: str | None, limit: float
) -> None:
    assert choose_limit(setting, dtype) == limit


def make_row(index: int, ids: list[int], prompt: str = "p") -> dict[str, object]:
    return {
        "trajectory_id": f"{prompt}-{index}",
        "prompt_id": prompt,
        "sample_index": index,
        "completion_ids": ids,
        "logprobs": None,
    }


def plan(rows: list[dict[str, object]], repairs: dict[str, str], tokenizer: TextTokenizer) -> Plan:
    return plan_shard(rows, repairs, tokenizer, ScoreConfig())


def test_texts_are_shared_within_a_prompt_only(tokenizer: TextTokenizer) -> None:
    ids = tokenizer.encode("Answer: 3")
    rows = [make_row(0, ids), make_row(1, ids), make_row(0, ids, "q")]
    found = plan(rows, {"p-0": "Answer: 4", "p-1": "Answer: 4", "q-0": "Answer: 3"}, tokenizer)
    assert len(found.ids) == 3, "two of p, one of q, whose repair is its answer"
    assert found.keys.keys() == {"p", "q"}
    first, second, third = (row for row in found.rows if isinstance(row, Planned))
    assert (first.key, first.repair_key) == (second.key, second.repair_key)
    assert third.key == third.repair_key != first.key
    assert [key for key, _ in list_readings(found, "p")] == sorted(
        found.keys["p"], key=lambda key: (len(found.ids[key]), key)
    )


def test_ids_that_are_none_are_a_reject_in_their_place(tokenizer: TextTokenizer) -> None:
    ids = tokenizer.encode("Answer: 3")
    rows = [make_row(0, ids), make_row(1, [*ids, 10**6]), make_row(2, ids)]
    found = plan(rows, {"p-1": "Answer: 4", "p-2": "Answer: \ud800"}, tokenizer)
    kinds = [row.reason if isinstance(row, Reject) else "scored" for row in found.rows]
    assert kinds == ["scored", "token_out_of_vocabulary", "invalid_unicode"]


def test_hashes_are_of_ids_and_not_of_their_container() -> None:
    assert hash_ids([1, 2, 3]) == hash_ids(np.array([1, 2, 3], dtype=np.int64))
    assert len({hash_ids(ids) for ids in ([1], [1, 0], [0, 1], [256], [])}) == 5


def make_chat() -> tuple[tuple[Message, ...], list[ImageInfo]]:
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), (200, 10, 10)).save(buffer, "PNG")
    picture = ImageData(buffer.getvalue(), "a" * 64, "image/png")
    info = ImageInfo(sha256="a" * 64, format="PNG", width=30, height=20)
    return (Message("system", ("s",)), Message("user", (picture, "what?", picture))), [info, info]


def test_black_pictures_have_the_same_size_and_the_chat_its_words() -> None:
    messages, infos = make_chat()
    black = blacken(messages, infos)
    assert black is not None
    assert black[0] == messages[0] and black[1].content[1] == "what?"
    for part in (black[1].content[0], black[1].content[2]):
        assert isinstance(part, ImageData)
        image = Image.open(io.BytesIO(part.data))
        assert image.size == (30, 20) and image.getextrema() == ((0, 0),) * 3
    assert make_black(30, 20).sha256 != make_black(20, 30).sha256
    assert blacken(messages[:1], []) is None


@given(LOGPROBS, st.booleans(), st.booleans())
def test_readings_come_back_from_the_journal(
    values: np.ndarray, tempered: bool, contrast: bool
) -> None:
    result = ScoreResult(
        "k",
        values.tolist(),
        tempered=values.tolist() if tempered else None,
        contrast_kl=(-values).tolist() if contrast else None,
    )
    reading = make_reading(result)
    record = to_record("k", reading)
    plain = json.loads(json.dumps(record, default=lambda value: value.tolist()))
    key, back = from_record(plain)
    assert key == "k"
    for name in ("logprobs", "tempered", "contrast_kl"):
        one, two = getattr(reading, name), getattr(back, name)
        assert (one is None) == (two is None)
        assert one is None or np.array_equal(one, two)
    assert is_enough(back, tempered=tempered, contrast=contrast)
    assert is_enough(back, tempered=True, contrast=False) == tempered
    assert is_enough(back, tempered=False, contrast=True) == contrast


def test_failures_come_back_too() -> None:
    failed = make_reading(ScoreResult("k", None, failure=Failure("ids_invalid", "token 3")))
    assert from_record(to_record("k", failed)) == (
        "k",
        Reading(None, None, None, "ids_invalid", "token 3"),
    )
    assert is_enough(failed, tempered=True, contrast=True)


def test_scores_of_other_ids_are_never_folded_in() -> None:
    check_side({"scored_logprobs": [0.0] * 3, "repair_ids": [1, 2]}, "t", [5, 6, 7], [1, 2])
    for said, words in (
        ({"scored_logprobs": [0.0] * 2}, "has 2 values"),
        ({"repair_logprobs": [0.0] * 3}, "has 3 values"),
        ({"repair_ids": [1, 3]}, "about another repair"),
        ({"repair_ids": [1]}, "has 1 values"),
    ):
        with pytest.raises(InvalidDataError, match=words):
            check_side(said, "t", [5, 6, 7], [1, 2])
    with pytest.raises(InvalidDataError, match="place for None"):
        check_side({"repair_logprobs": [0.0]}, "t", [5], None)
