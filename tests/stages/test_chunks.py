"""Rows of a source are found again by what they say, also by a dfgen that knows more columns."""

from __future__ import annotations

from pathlib import Path

from dfgen.prompts.pairs import Pair
from dfgen.stages.chunks import cut_chunks, hash_rows
from dfgen.store.entries import SourceRows, find_entry_file
from dfgen.store.finishing import finish_shard
from dfgen.store.run import Run
from tests.store.examples import make_pipeline, make_prompt


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


def test_a_shard_without_its_note_is_written_again(tmp_path: Path) -> None:
    """A crash between a shard and its note, then rows are added: none may be lost."""
    run = Run.open_or_create(tmp_path, make_pipeline())
    rows = [make_prompt(name) for name in "abcde"]
    source = SourceRows(rows=3, sha256=hash_rows(rows[:3]))
    finish_shard(run, "prompts", 0, rows[:3], source=source)
    (known, new) = cut_chunks(run, ("prompts",), iter(rows), 4)
    assert (known.written, len(known.rows), new.written, len(new.rows)) == (True, 3, False, 2)
    find_entry_file(tmp_path / "journal", "prompts", 0).unlink()
    (first, second) = cut_chunks(run, ("prompts",), iter(rows), 4)
    assert (first.written, len(first.rows), second.shard, len(second.rows)) == (False, 4, 1, 1)
