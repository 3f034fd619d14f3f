from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dfgen.prompts.identity import make_prompt_id

TEXT = st.text(max_size=8)
FIELDS = st.tuples(TEXT, st.lists(TEXT, max_size=3), TEXT, st.lists(TEXT, max_size=3))


def test_the_encoding_is_pinned() -> None:
    # Changing this value changes every id of every data set that exists.
    name = make_prompt_id("Wie groß ist α?", ["1", "2"], "B", ["ab" * 32])
    assert name == "d7b740bdefc52f53d83f8051fd0e2f99"


def test_text_cannot_move_between_fields() -> None:
    shifted = [
        ("ab", [], "c", []),
        ("a", [], "bc", []),
        ("a", ["b"], "c", []),
        ("a", ["b", "c"], "", []),
        ("a", ["bc"], "", []),
        ("a", [], "", ["b", "c"]),
        ("a", [], "", ["bc"]),
        ('a",["b"', [], "c", []),
    ]
    assert len({make_prompt_id(*fields) for fields in shifted}) == len(shifted)


@given(FIELDS, FIELDS)
def test_ids_are_equal_exactly_when_all_fields_are(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]
    assert (make_prompt_id(*one) == make_prompt_id(*other)) == (one == other)


@given(FIELDS)
def test_ids_are_32_hex_digits(fields: tuple) -> None:  # type: ignore[type-arg]
    name = make_prompt_id(*fields)
    assert len(bytes.fromhex(name)) == 16
    assert name == name.lower()
