from __future__ import annotations

import hashlib
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from dfgen.prompts.duplicates import DuplicateFinder


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["a", "b"]), st.integers(0, 2**39))))
def test_names_the_first_row(rows: list[tuple[int, str, int]]) -> None:
    seen, first = DuplicateFinder(), dict[int, str]()
    for value, file, number in rows:
        # Neighbouring ids land in neighbouring slots, so runs and wrap-around occur.
        assert seen.add(f"{value * 1023:032x}", file, number) == first.get(value)
        first.setdefault(value, f"{file}:{number}")
    assert len(seen) == len(first)


def test_an_id_of_zeros_is_an_id() -> None:
    seen = DuplicateFinder()
    assert seen.add("0" * 32, "file", 0) is None
    assert seen.add("0" * 32, "file", 1) == "file:0"


def test_grows_and_stays_small() -> None:
    count = 20_000
    tracemalloc.start()
    seen = DuplicateFinder()
    for number in range(count):
        assert seen.add(hashlib.md5(str(number).encode()).hexdigest(), "file", number) is None
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert seen.add(hashlib.md5(b"777").hexdigest(), "file", 1) == "file:777"
    assert size / count < 80
