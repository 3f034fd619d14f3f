"""Rows of a source are found again by what they say, also by a dfgen that knows more columns."""

from __future__ import annotations

from dfgen.prompts.pairs import Pair
from dfgen.stages.chunks import hash_rows
from tests.store.examples import make_prompt


def test_where_a_row_stands_and_what_it_does_not_say_are_no_part_of_it() -> None:
    prompt = make_prompt("p")
    moved = prompt.model_copy(update={"source": "elsewhere.jsonl:9"})
    assert hash_rows([prompt]) == hash_rows([moved])
    assert prompt.precision is None
    known = {name: value for name, value in prompt.model_dump().items() if value is not None}
    assert "precision" not in known
    named = prompt.model_copy(update={"precision": 2})
    assert hash_rows([prompt]) != hash_rows([named])


def test_each_part_of_a_pair_counts() -> None:
    pair = Pair("a", make_prompt("p"), "wrong", "right", None)
    others = [
        Pair("b", pair.prompt, "wrong", "right", None),
        Pair("a", make_prompt("q"), "wrong", "right", None),
        Pair("a", pair.prompt, "wrong!", "right", None),
        Pair("a", pair.prompt, "wrong", "right!", None),
        Pair("a", pair.prompt, "wrong", "right", [1]),
    ]
    assert len({hash_rows([each]) for each in (pair, *others)}) == 1 + len(others)
    assert hash_rows([pair, others[0]]) != hash_rows([others[0], pair])
