"""Prefixes and scores of the transformers engine, with the demo's policy and its pictures."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from dfgen.config.engine import TransformersConfig
from dfgen.engines.base import ScoreRequest, require_scoring
from dfgen.engines.loading import load_engine
from dfgen.errors import EngineError
from tests.engines import continuing
from tests.engines.making import draw_image, make_request
from tests.vllm.asking import collect, list_scenes

pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")

LIMIT = 200


@pytest.fixture(scope="module")
def policy() -> Any:
    return load_engine(
        TransformersConfig(
            model="demo:policy", dtype="float32", device="cpu", batch_size=6, max_length=LIMIT
        )
    )


def test_greedy_decoding_goes_on_after_its_own_beginning(policy: Any) -> None:
    continuing.check_second_halves(policy)


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
def test_scores_of_samples_are_their_logprobs(policy: Any, temperature: float) -> None:
    continuing.check_scores_of_samples(policy, temperature=temperature)


def test_scores_depend_on_the_picture(policy: Any) -> None:
    continuing.check_scores_depend_on_the_picture(policy)


def test_bad_ids_fail_alone(policy: Any) -> None:
    parts = policy._loaded.parts
    continuing.check_bad_ids(
        policy, placeholder=parts.image_token_id, vocabulary=parts.vocabulary, limit=LIMIT
    )


def test_the_context_is_used_to_its_end(policy: Any) -> None:
    continuing.check_the_context_is_used_to_its_end(policy, LIMIT)


def test_another_layout_of_pictures(tmp_path: Path) -> None:
    """Idefics3 gives pictures as [rows, most pictures of a row, ...]: rows cannot be joined."""
    from tests.support.tiny_idefics import write_tiny_idefics

    directory = write_tiny_idefics(tmp_path / "idefics")
    engine: Any = load_engine(
        TransformersConfig(model=str(directory), dtype="float32", device="cpu", batch_size=8)
    )
    chats: list[tuple[Any, ...]] = [
        (draw_image("red"), "How many?"),
        (draw_image("red"), "and", draw_image("blue"), "Which is which, and how many?"),
        ("No picture at all.",),
    ]
    image_token = engine._loaded.parts.image_token_id
    requests = [
        make_request(index, *chats[index % 3], seed=index, temperature=0.0) for index in range(6)
    ]
    drawn = collect(engine, requests)
    halves = [
        replace(request, prefix_ids=tuple((drawn[request.key].token_ids or ())[:6]))
        for request in requests
        if image_token not in (drawn[request.key].token_ids or ())
        and drawn[request.key].finish_reason == "length"
    ]
    assert len({len(half.messages[0].content) for half in halves}) >= 2
    for key, result in collect(engine, halves).items():
        assert list(result.token_ids or ())[:6] == list(drawn[key].token_ids or ())[6:]
    asked = [continuing.to_score(half, drawn[half.key].token_ids or ()) for half in halves]
    for key, scored in continuing.score(engine, asked).items():
        assert scored.logprobs == pytest.approx(drawn[key].logprobs, abs=1e-4)


def test_batches_of_scores_keep_their_order_and_are_pulled_one_at_a_time(policy: Any) -> None:
    pulled = []

    def feed() -> Any:
        for index in range(15):
            pulled.append(index)
            request = make_request(index, draw_image("red"), "Count.")
            yield continuing.to_score(request, (5, 6) if index % 5 else ())

    batches = []
    for results in policy.score(feed()):
        assert len(pulled) <= 6 * (len(batches) + 1)
        batches.append([result.key for result in results])
    assert [len(batch) for batch in batches] == [6, 6, 3]
    assert [key for batch in batches for key in batch] == [str(index) for index in range(15)]


def test_little_memory_for_logits_changes_nothing(
    policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dfgen.engines.transformers import scoring

    requests = continuing.list_requests()
    ids = tuple(range(5, 25))
    asked = [continuing.to_score(request, ids) for request in requests]
    together = continuing.score(policy, asked)
    monkeypatch.setattr(scoring, "_MOST_LOGITS", 1)
    alone = continuing.score(policy, asked)
    for key, result in together.items():
        assert result.logprobs == pytest.approx(alone[key].logprobs, abs=1e-4)


def test_text_goes_on_where_the_prefix_ends(policy: Any) -> None:
    """A character whose bytes stand in two tokens belongs to the part that completes it."""
    from dfgen.engines.processor.token_ids import decode_ids

    parts = policy._loaded.parts
    text = "Résumé: 3 ≠ 4 \U0001f600 cats, naïve café."
    ids = parts.tokenizer(text, add_special_tokens=False)["input_ids"]
    whole = decode_ids(parts, ids)
    for cut in range(len(ids) + 1):
        before = decode_ids(parts, ids[:cut])
        after = decode_ids(parts, ids[cut:], ids[:cut])
        assert (before + after == whole) or (before.rstrip("�") + after == whole)


def test_stop_strings_are_looked_for_in_the_new_part(policy: Any) -> None:
    question, image = list_scenes(1)[0]
    request = make_request("x", image, question, temperature=0.0, max_tokens=64)
    whole = collect(policy, [request])["x"]
    ids = list(whole.token_ids or ())
    cut = len(ids) // 2
    stop = collect(policy, [replace(request, prefix_ids=tuple(ids[:cut]))])["x"].text
    stop = stop[2:5]
    decoding = request.decoding.model_copy(update={"stop": [stop, whole.text[:4]]})
    stopped = collect(policy, [replace(request, prefix_ids=tuple(ids[:cut]), decoding=decoding)])[
        "x"
    ]
    assert stopped.stop_reason == stop and stop not in stopped.text
    length = len(stopped.token_ids or ())
    assert list(stopped.token_ids or ()) == ids[cut : cut + length]


def test_info_says_which_features_there_are(policy: Any) -> None:
    assert policy.info.features == ("prefix_ids", "score", "score_contrast", "score_tempered")
    assert json.loads(json.dumps(asdict(policy.info)))["features"] == list(policy.info.features)
    assert require_scoring(policy) is policy


def test_a_model_with_an_encoder_has_none_of_them(
    policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dfgen.engines.transformers.describing import describe_engine

    monkeypatch.setattr(policy._loaded.model.config, "is_encoder_decoder", True)
    info = describe_engine(policy._config, policy._loaded)
    assert info.features == ()
    monkeypatch.setattr(policy, "_info", info)
    with pytest.raises(EngineError, match="cannot score"):
        require_scoring(policy)
    with pytest.raises(EngineError, match="with an encoder"):
        continuing.score(policy, [])
    with pytest.raises(EngineError, match="with an encoder"):
        collect(policy, [replace(make_request("x", "x"), prefix_ids=(5,))])


def ask_more(engine: Any, **more: Any) -> list[ScoreRequest]:
    """Questions with a picture each, and their greedy answers, asked about with `more`."""
    requests = [each for each in continuing.list_requests(temperature=0.0) if "scene" in each.key]
    drawn = collect(engine, requests)
    asked = [continuing.to_score(each, drawn[each.key].token_ids or ()) for each in requests]
    return [replace(each, **more) for each in asked]


def test_tempered_scores_are_of_divided_logits(policy: Any) -> None:
    plain = continuing.score(policy, ask_more(policy))
    at_one = continuing.score(policy, ask_more(policy, temperature=1.0))
    cold = continuing.score(policy, ask_more(policy, temperature=0.05))
    for key, result in at_one.items():
        assert result.tempered == result.logprobs == pytest.approx(plain[key].logprobs, abs=1e-5)
        assert plain[key].tempered is plain[key].contrast_kl is None
        # What is drawn greedily is what is left when it gets cold.
        assert cold[key].tempered == pytest.approx([0.0] * len(result.logprobs or ()), abs=0.2)
        assert cold[key].logprobs == pytest.approx(result.logprobs, abs=1e-5)


def test_a_contrast_with_the_same_pictures_is_none(policy: Any) -> None:
    asked = [replace(each, contrast=each.messages) for each in ask_more(policy)]
    for result in continuing.score(policy, asked).values():
        assert result.contrast_kl == pytest.approx([0.0] * len(result.logprobs or ()), abs=1e-6)


def test_contrasts_beside_requests_without_one(
    policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gets its own, however the batch is cut for memory."""
    from dfgen.engines.transformers import scoring

    asked = ask_more(policy)
    other = asked[0].messages
    mixed = [
        replace(each, contrast=other if index % 2 else None) for index, each in enumerate(asked)
    ]
    together = continuing.score(policy, mixed)
    monkeypatch.setattr(scoring, "_MOST_LOGITS", 1)
    monkeypatch.setattr(scoring, "_PIECE", 3)
    alone = continuing.score(policy, mixed)
    for index, each in enumerate(mixed):
        one, two = together[each.key].contrast_kl, alone[each.key].contrast_kl
        assert (one is None) == (two is None) == (index % 2 == 0)
        if one is not None:
            assert one == pytest.approx(two, abs=1e-4)
            assert max(one) > 0.1, "another picture and question"


def test_a_contrast_of_another_length_fails_alone(policy: Any) -> None:
    asked = ask_more(policy)
    (picture, *_) = asked[0].messages[-1].content
    longer = (replace(asked[0].messages[-1], content=(picture, "How many? " * 3)),)
    asked[1] = replace(asked[1], contrast=longer)
    results = continuing.score(policy, asked)
    failure = results[asked[1].key].failure
    assert failure is not None and failure.reason == "prompt_invalid"
    assert sum(result.failure is None for result in results.values()) == len(asked) - 1
