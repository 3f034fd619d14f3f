"""Searches find what Python finds, whatever the words are."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from dfgen.view.searching import find_words

LETTERS = st.sampled_from("aab.*+?()[]{}|^$\\-#&~/é語\x00\u202e'\"")
WORDS = st.text(LETTERS, min_size=1, max_size=4)
TEXTS = st.lists(st.text(st.one_of(LETTERS, st.just("\n")), max_size=12), max_size=5)


@example(shards=[["a.b", "axb"], [], ["\\d+\n(a|b)"]], words=["a.b"])
@example(shards=[["\\e", "e\\q"]], words=["\\e"])
@given(shards=st.lists(TEXTS, max_size=3), words=st.lists(WORDS, max_size=3))
def test_words_are_no_patterns(shards: list[list[str]], words: list[str]) -> None:
    texts = {5 * n: pa.array(each, pa.large_string()) for n, each in enumerate(shards)}
    expected = {
        5 * n: [place for place, text in enumerate(each) if all(word in text for word in words)]
        for n, each in enumerate(shards)
    }
    assert find_words(texts, words) == expected
