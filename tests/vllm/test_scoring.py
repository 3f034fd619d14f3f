"""Prefixes and scores of the real vLLM, with the demo's policy and its pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("vllm", reason="needs the environment of `make vllm-test`")

from dfgen.errors import EngineError
from tests.engines import continuing
from tests.engines.making import draw_image, make_request
from tests.vllm.asking import collect

LIMIT = 256


def test_greedy_decoding_goes_on_after_its_own_beginning(engine: Any) -> None:
    continuing.check_second_halves(engine)


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
def test_scores_of_samples_are_their_logprobs(engine: Any, temperature: float) -> None:
    continuing.check_scores_of_samples(engine, temperature=temperature)


def test_scores_are_those_of_transformers(engine: Any, reference: Any) -> None:
    requests = continuing.list_requests(temperature=1.5)
    drawn = collect(engine, requests)
    asked = [continuing.to_score(each, drawn[each.key].token_ids or ()) for each in requests]
    ours, theirs = continuing.score(engine, asked), continuing.score(reference, asked)
    for key, result in ours.items():
        assert result.logprobs == pytest.approx(theirs[key].logprobs, abs=1e-4)
        assert result.usage == theirs[key].usage


def test_more_than_raw_logprobs_is_refused(engine: Any) -> None:
    """vLLM has no answer to these, and must not give another one's."""
    request = continuing.list_requests(temperature=0.0)[0]
    asked = continuing.to_score(request, (5, 6))
    for more in (replace(asked, temperature=0.7), replace(asked, contrast=asked.messages)):
        with pytest.raises(EngineError, match="only under the model itself"):
            continuing.score(engine, [more])


def test_scores_depend_on_the_picture(engine: Any) -> None:
    continuing.check_scores_depend_on_the_picture(engine)


def test_scores_do_not_come_from_the_cache_of_prefixes(engine: Any) -> None:
    """A prompt that vLLM knows is computed anew, because its cache holds no logits."""
    request = replace(continuing.list_requests(temperature=0.0)[0], key="x")
    ids = collect(engine, [request])["x"].token_ids or ()
    asked = continuing.to_score(request, ids)
    first = continuing.score(engine, [asked])["x"].logprobs
    for _ in range(3):
        again = continuing.score(engine, [asked])["x"].logprobs
        assert again is not None and len(again) == len(ids)
        assert again == pytest.approx(first, abs=1e-5)


def test_bad_ids_fail_alone(engine: Any) -> None:
    continuing.check_bad_ids(
        engine,
        placeholder=engine._model.image_token_id,
        vocabulary=engine._model.vocabulary,
        limit=LIMIT,
    )


def test_the_context_is_used_to_its_end(engine: Any) -> None:
    continuing.check_the_context_is_used_to_its_end(engine, LIMIT)


def test_many_scores_are_pulled_as_places_come_free(engine: Any) -> None:
    pulled, given, worst = 0, 0, 0

    def feed() -> Any:
        nonlocal pulled
        for index in range(100):
            pulled += 1
            request = make_request(index, draw_image("red"), "Count.")
            yield continuing.to_score(request, range(5, 6 + index % 20))

    for results in engine.score(feed()):
        given += len(results)
        worst = max(worst, pulled - given)
    assert (pulled, given) == (100, 100)
    assert worst <= 32


def test_scoring_that_is_given_up_leaves_nothing_behind(engine: Any) -> None:
    requests = [make_request(i, draw_image("red"), "Count.") for i in range(40)]
    iterator = engine.score(continuing.to_score(each, range(5, 50)) for each in requests)
    next(iterator)
    iterator.close()
    assert not engine.binding.engine.has_unfinished_requests()


def test_info_says_which_features_there_are(engine: Any) -> None:
    assert engine.info.features == ("prefix_ids", "score")
