"""What prefixes and scores must be, whatever engine gives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from dfgen.engines.base import ImageData, Request, ScoreRequest, ScoreResult
from tests.engines.making import draw_image, make_request
from tests.vllm.asking import collect, list_scenes


def list_requests(**decoding: Any) -> list[Request]:
    """Questions with one picture, two, and none, of different lengths."""
    scenes = list_scenes(6)
    requests = [
        make_request(f"scene{index}", image, question, seed=index, **{"max_tokens": 64, **decoding})
        for index, (question, image) in enumerate(scenes)
    ]
    (_, first), (_, second) = scenes[:2]
    options = {"max_tokens": 24, **decoding}
    requests.append(make_request("two", first, "and", second, "which?", seed=7, **options))
    requests.append(make_request("none", "How many circles are there?", seed=8, **options))
    return requests


def score(engine: Any, requests: Iterable[ScoreRequest]) -> dict[str, ScoreResult]:
    """All scores by key."""
    return {result.key: result for results in engine.score(requests) for result in results}


def to_score(request: Request, ids: Sequence[int]) -> ScoreRequest:
    """Ask how probable ids are after a request's prompt."""
    return ScoreRequest(
        request.key,
        request.messages,
        tuple(ids),
        request.chat_template,
        request.chat_template_args,
    )


def check_second_halves(engine: Any) -> None:
    """Greedy decoding goes on after any part of its own completion as if it had never stopped."""
    requests = list_requests(temperature=0.0)
    wholes = collect(engine, requests)
    halves = []
    for request in requests:
        ids = wholes[request.key].token_ids or ()
        for cut in sorted({0, 1, len(ids) // 2, len(ids) - 1}):
            decoding = request.decoding.model_copy(update={"max_tokens": max(1, len(ids) - cut)})
            key = f"{request.key}@{cut}"
            halves.append(replace(request, key=key, prefix_ids=tuple(ids[:cut]), decoding=decoding))
    results = collect(engine, halves)
    for half in halves:
        whole, result, cut = wholes[half.key.split("@")[0]], results[half.key], len(half.prefix_ids)
        assert result.failure is None
        assert list(result.token_ids or ()) == list(whole.token_ids or ())[cut:], half.key
        assert result.logprobs == pytest.approx((whole.logprobs or [])[cut:], abs=1e-4)
        assert whole.text.endswith(result.text)
        assert result.usage.completion_tokens == len(result.token_ids or ())
        assert result.usage.prompt_tokens == whole.usage.prompt_tokens + cut
        assert result.usage.image_tokens == whole.usage.image_tokens
    for request in requests:
        parts = [half for half in halves if half.key.startswith(f"{request.key}@")]
        first = results[parts[0].key]
        assert first.text == wholes[request.key].text, "an empty prefix is none"


def check_scores_of_samples(engine: Any, **decoding: Any) -> None:
    """What was sampled, at whatever temperature, scores as its own logprobs."""
    requests = list_requests(**{"temperature": 1.3, "top_k": 20, **decoding})
    drawn = collect(engine, requests)
    asked = [to_score(request, drawn[request.key].token_ids or ()) for request in requests]
    scored = score(engine, asked)
    assert scored.keys() == drawn.keys()
    for key, result in scored.items():
        assert result.failure is None
        assert result.logprobs == pytest.approx(drawn[key].logprobs, abs=1e-4), key
        assert result.usage.prompt_tokens == drawn[key].usage.prompt_tokens
        assert result.usage.image_tokens == drawn[key].usage.image_tokens
        assert result.usage.completion_tokens == len(drawn[key].token_ids or ())


def check_scores_depend_on_the_picture(engine: Any) -> None:
    """The same completion is less probable beside another picture."""
    (question, right), (_, other) = list_scenes(2)
    request = make_request("x", right, question, temperature=0.0, max_tokens=64)
    ids = collect(engine, [request])["x"].token_ids or ()
    wrong = make_request("y", other, question)
    scored = score(engine, [to_score(request, ids), to_score(wrong, ids)])
    assert sum(scored["x"].logprobs or ()) > sum(scored["y"].logprobs or ()) + 0.1


def check_bad_ids(engine: Any, *, placeholder: int, vocabulary: int, limit: int) -> None:
    """Each bad row fails alone and says why; what stands beside it comes through.

    Args:
        placeholder: id of a picture.
        vocabulary: the first id that is none.
        limit: tokens of prompt and completion together.
    """
    question, image = list_scenes(1)[0]
    request = make_request("good", image, question, max_tokens=4, temperature=0.0)
    good = to_score(request, (5, 6, 7))
    bad = {
        "empty": ((), "completion_empty"),
        "picture": ((5, placeholder, 6), "ids_invalid"),
        "picture at the end": ((5, placeholder), "ids_invalid"),
        "unknown": ((vocabulary,), "ids_invalid"),
        "negative": ((5, -1), "ids_invalid"),
        "long": ((5,) * limit, "prompt_too_long"),
    }
    rows = [replace(good, key=key, completion_ids=ids) for key, (ids, _) in bad.items()]
    scored = score(engine, [good, *rows, replace(good, key="again")])
    assert scored["good"].logprobs == pytest.approx(scored["again"].logprobs, abs=1e-5)
    for key, (_, reason) in bad.items():
        failure = scored[key].failure
        assert failure is not None and failure.reason == reason, key
        assert failure.detail and scored[key].logprobs is None
    # As prefixes, of which there may be none.
    prefixed = [
        replace(request, key=key, prefix_ids=ids) for key, (ids, _) in bad.items() if key != "empty"
    ]
    results = collect(engine, [request, *prefixed])
    assert results["good"].failure is None
    for each in prefixed:
        failure = results[each.key].failure
        assert failure is not None and failure.reason == bad[each.key][1], each.key
        assert results[each.key].finish_reason == "error"
    broken = ImageData(b"no picture", "0" * 64, "image/png")
    failed = score(engine, [replace(good, messages=make_request("", broken).messages)])["good"]
    assert failed.failure is not None and failed.failure.reason.startswith("image_")


def check_the_context_is_used_to_its_end(engine: Any, limit: int) -> None:
    """A completion that fills the context is scored; one token more is too long."""
    request = make_request("x", draw_image("red"), "Count.", max_tokens=1, temperature=0.0)
    prompt = collect(engine, [request])["x"].usage.prompt_tokens
    fits, not_quite = (5,) * (limit - prompt), (5,) * (limit - prompt + 1)
    scored = score(engine, [to_score(request, fits)])["x"]
    assert scored.failure is None and len(scored.logprobs or ()) == len(fits)
    failure = score(engine, [to_score(request, not_quite)])["x"].failure
    assert failure is not None and failure.reason == "prompt_too_long"
    assert str(limit) in failure.detail
