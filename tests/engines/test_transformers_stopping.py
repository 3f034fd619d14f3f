"""Where completions end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

pytest.importorskip("torch", reason="models run in it: pip install '.[local]'")

from dfgen.engines.base import Decoding
from dfgen.engines.transformers.stopping import Ending, find_ending

EOS = 0


def decode(ids: Sequence[int]) -> str:
    """Letters: 1 is "a", 2 is "b"; 0 is special and decodes to nothing; 9 is "xyz"."""
    return "".join("xyz" if token == 9 else chr(96 + token) for token in ids if token != EOS)


def find(ids: list[int], max_tokens: int = 6, stop: tuple[str, ...] = ()) -> Ending:
    return find_ending(ids, Decoding(max_tokens=max_tokens, stop=stop), {EOS}, decode)


CASES = {
    "length": (find([1, 2, 3, 4, 5, 6, 7]), Ending(6, "abcdef", "length")),
    "end of sequence": (find([1, 2, EOS, 4, 4, 4]), Ending(3, "ab", "stop")),
    "at once": (find([EOS, 1]), Ending(1, "", "stop")),
    "end of sequence in the last place": (find([1, 2, EOS], 3), Ending(3, "ab", "stop")),
    "end of sequence beyond the limit": (find([1, 2, 3, EOS], 3), Ending(3, "abc", "length")),
    "stop string": (find([1, 2, 3, 4], stop=("b",)), Ending(2, "a", "stop", "b")),
    "stop string inside a token": (find([1, 9, 3], stop=("y",)), Ending(2, "ax", "stop", "y")),
    "stop string over tokens": (find([1, 2, 3, 4], stop=("bc",)), Ending(3, "a", "stop", "bc")),
    "the first of two": (find([1, 2, 3, 4], stop=("d", "b")), Ending(2, "a", "stop", "b")),
    "two in one token": (find([1, 9], stop=("z", "y")), Ending(2, "ax", "stop", "y")),
    "stop string after the end": (find([1, EOS, 2], stop=("b",)), Ending(2, "a", "stop")),
    "stop string beyond the limit": (find([1, 2, 3], 2, ("c",)), Ending(2, "ab", "length")),
    "stop string at the limit": (find([1, 2, 3], 3, ("c",)), Ending(3, "ab", "stop", "c")),
    "no stop string": (find([1, 2, EOS], stop=("q",)), Ending(3, "ab", "stop")),
}


@pytest.mark.parametrize("name", CASES)
def test_endings(name: str) -> None:
    found, expected = CASES[name]
    assert found == expected
