"""Rows are found by hash, in 40 bytes of memory each."""

from __future__ import annotations

import hashlib
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from dfgen.store.row_index import RowIndex


def make_key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()[:16]


def make_digest(number: int) -> bytes:
    return number.to_bytes(8, "big")


def test_a_row_takes_forty_bytes_at_most_also_while_they_are_sorted() -> None:
    count = 100_000
    keys = [make_key(i) for i in range(count)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        index = RowIndex(count)
        for key in keys:
            index.add(key, b"12345678")
        assert index.meet(keys[0], b"12345678") == "same"
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (peak - before) / count <= 40.1
    assert (now - before) / count <= 29.1


rows = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), max_size=12)


@given(known=rows, met=rows)
def test_it_finds_what_a_list_finds(
    known: list[tuple[int, int]], met: list[tuple[int, int]]
) -> None:
    """Also where two keys begin alike."""

    def widen(key: int) -> bytes:
        return bytes(8) + make_key(key)[8:] if key < 5 else make_key(key)

    index = RowIndex(len(known))
    for key, said in known:
        index.add(widen(key), make_digest(said))
    for key, said in met:
        same = (key, said) in known
        there = any(key == other for other, _ in known)
        expected = "same" if same else "changed" if there else "new"
        assert index.meet(widen(key), make_digest(said)) == expected
    keys = {key for key, _ in met}
    assert index.list_unmet() == [i for i, (key, _) in enumerate(known) if key not in keys]
    assert index.list_changed() == [
        i for i, row in enumerate(known) if row[0] in keys and row not in met
    ]
    assert index.any_met == any(key in keys for key, _ in known)
