"""The ids that a model can be fed, and the text that ids add to a prefix."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.engines.base import Request, ScoreRequest

pytest.importorskip("transformers", reason="models run in it: pip install '.[local]'")

from dfgen.engines.processor.loading import ModelProcessor, _find_placeholders
from dfgen.engines.processor.token_ids import check_given_ids, decode_ids
from tests.engines.making import make_request
from tests.support.tiny_llava import build_tokenizer

REPLACEMENT = "\ufffd"


@cache
def make_model() -> ModelProcessor:
    """A processor without a model: 320 ids at most, of which 2 is a picture and 3 a video."""
    tokenizer = build_tokenizer()
    return ModelProcessor(
        name="m",
        directory=None,
        processor=tokenizer,
        tokenizer=tokenizer,
        reads_images=False,
        image_token_id=2,
        placeholder_ids=frozenset({2, 3}),
        vocabulary=len(tokenizer),
    )


def ask_both(ids: tuple[int, ...]) -> tuple[Request, ScoreRequest]:
    return replace(make_request("x", "?"), prefix_ids=ids), ScoreRequest("x", (), ids)


@given(st.lists(st.integers(-3, 330), min_size=1, max_size=12))
def test_ids_are_refused_if_and_only_if_one_cannot_be_fed(ids: list[int]) -> None:
    model = make_model()
    bad = [i for i, token in enumerate(ids) if token in (2, 3) or not 0 <= token < model.vocabulary]
    for request in ask_both(tuple(ids)):
        failure = check_given_ids(model, request)
        assert (failure is not None) == bool(bad)
        if failure is not None:
            assert failure.reason == "ids_invalid"
            assert f"token {bad[0]} of the" in failure.detail


def test_no_ids_are_a_prefix_but_no_completion() -> None:
    prefixed, scored = ask_both(())
    assert check_given_ids(make_model(), prefixed) is None
    failure = check_given_ids(make_model(), scored)
    assert failure is not None and failure.reason == "completion_empty"


@given(st.text(max_size=30), st.data())
def test_a_text_is_its_beginning_and_what_is_added(text: str, data: st.DataObject) -> None:
    """Wherever ids are cut, in the middle of a character too."""
    model = make_model()
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    cut = data.draw(st.integers(0, len(ids)))
    whole, before = decode_ids(model, ids), decode_ids(model, ids[:cut])
    added = decode_ids(model, ids[cut:], ids[:cut])
    assert whole in (before + added, before.rstrip(REPLACEMENT) + added)


@pytest.mark.parametrize(
    ("processor", "settings", "expected"),
    [
        ({"image_token_id": 5}, {}, {5}),
        ({}, {"image_token_index": 5, "video_token_id": 6}, {5, 6}),
        ({"image_token_id": 5, "audio_token_id": 7}, {"image_token_id": 5}, {5, 7}),
        ({"image_token": "<image>", "image_token_id": None}, {"vocab_size": 9}, set()),
    ],
)
def test_placeholders_are_found_wherever_they_are_named(
    processor: dict[str, object], settings: dict[str, object], expected: set[int]
) -> None:
    owners = (SimpleNamespace(**processor), SimpleNamespace(**settings))
    assert _find_placeholders(*owners) == expected
