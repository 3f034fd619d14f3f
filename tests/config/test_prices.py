"""What a request costs: by its lane, its cached tokens, and what nobody knows."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.engine import OpenAIConfig, Price, find_price
from dfgen.engines.openai.answers import read_answer
from tests.engines.making import make_request
from tests.support.loopback import write_completion

dollars = st.floats(0, 1000)
tokens = st.integers(0, 10**6)


def test_cached_tokens_are_booked_at_their_price_and_batches_at_theirs() -> None:
    price = Price(
        prompt=2.0, completion=10.0, cached=0.5, batch_factor=0.5, as_of=date(2026, 11, 1)
    )
    assert price.count(1000, 100, 800) == pytest.approx((200 * 2 + 800 * 0.5 + 100 * 10) / 1e6)
    assert price.count(1000, 100, None) == pytest.approx((1000 * 2 + 100 * 10) / 1e6)
    batch = price.in_lane("batch")
    assert batch.count(1000, 100, 800) == pytest.approx(price.count(1000, 100, 800) / 2)
    assert price.in_lane("files") == price.in_lane("online") == price
    engine = OpenAIConfig(model="m", lane="batch", price=price)
    assert find_price(engine) == batch


@given(dollars, dollars, tokens, tokens)
def test_unknown_tokens_make_an_unknown_cost_unless_they_are_free(
    prompt: float, completion: float, read: int, written: int
) -> None:
    price = Price(prompt=prompt, completion=completion)
    known = price.count(read, written, None)
    assert known is not None
    assert known >= 0
    assert (price.count(None, written, None) is None) == (prompt > 0)
    assert (price.count(read, None, None) is None) == (completion > 0)


@given(tokens, st.integers(0, 2 * 10**6))
def test_more_in_the_cache_never_costs_more(read: int, cached: int) -> None:
    answer = write_completion("x")
    answer["usage"] = {
        "prompt_tokens": read,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    usage = read_answer(make_request("a", "Hi"), json.dumps(answer).encode()).usage
    assert usage.cached_tokens == min(read, cached)
    price = Price(prompt=2.0, cached=0.2)
    assert 0 <= (price.count(read, 0, usage.cached_tokens) or 0) <= (price.count(read, 0, 0) or 0)
