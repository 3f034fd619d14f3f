from __future__ import annotations

import base64
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.report.embedding import hash_source, pack_json, write_json
from tests.report.hostile import ATTACKS

TEXTS = st.one_of(st.sampled_from(ATTACKS), st.text())


@given(st.lists(st.dictionaries(TEXTS, TEXTS)))
def test_json_in_a_page_means_the_same_and_holds_no_markup(value: list[dict[str, str]]) -> None:
    text = write_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


@given(st.lists(TEXTS))
def test_packs_round_trip_and_are_plain_letters(value: list[str]) -> None:
    pack = pack_json(value)
    assert pack == pack_json(value)
    assert set(pack) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
    assert json.loads(gzip.decompress(base64.b64decode(pack))) == value


def test_half_a_surrogate_pair_does_not_stop_a_report() -> None:
    assert json.loads(gzip.decompress(base64.b64decode(pack_json("a\ud83d")))) == "a?"


def test_numbers_that_json_has_not_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json([float("nan")])


def test_hash_is_that_of_the_standard() -> None:
    # The example of the Content Security Policy specification, level 3.
    assert hash_source("doSomething();") == "'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='"
