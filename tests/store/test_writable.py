"""Nothing enters a journal that its shard could not hold, and what is in one does no harm."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from dfgen.arrow_types import Float32, Int32, Int64
from dfgen.errors import StorageError
from dfgen.store.arrow_schema import arrow_schema
from dfgen.store.journal import Journal
from dfgen.store.writable import find_unreadable, find_unwritable


class Inner(BaseModel):
    small: Int32
    values: list[Float32] = []


class Paid(BaseModel):
    key: str
    ids: list[Int32] = []
    logprobs: list[Float32] | None = None
    count: Int32 | None = None
    seed: Int64 = 0
    inner: Inner | None = None


ABSURD: list[tuple[str, Any]] = [
    ("count", 10**30),
    ("count", 2**31),
    ("count", -(2**31) - 1),
    ("count", True),
    ("count", "7"),
    ("count", [7]),
    ("count", 1e30),
    ("ids", [1, 2**70]),
    ("ids", [1, True]),
    ("ids", [[1]]),
    ("ids", "12"),
    ("logprobs", [-1.0, float("-inf")]),
    ("logprobs", [float("nan")]),
    ("logprobs", [-1e39]),
    ("logprobs", ["-1"]),
    ("logprobs", np.array([-np.inf], dtype=np.float32)),
    ("seed", 2**63),
    ("key", "\ud800"),
    ("key", 5),
    ("inner", {"small": 2**40}),
    ("inner", {"small": 1, "values": [math.inf]}),
    ("inner", 3),
]


@pytest.mark.parametrize(("name", "value"), ABSURD, ids=lambda value: repr(value)[:30])
def test_an_absurd_value_is_named_and_does_not_get_in(
    tmp_path: Path, name: str, value: Any
) -> None:
    record = {"key": "a", "ids": [1], **{name: value}}
    found = find_unwritable(record, Paid)
    assert found is not None and found.startswith(f"{name}: ")
    journal = Journal(tmp_path / "j.jsonl", stage="sample", shard=0, record=Paid)
    with journal, pytest.raises(StorageError, match=name):
        journal.append([{"key": "good"}, record])
    assert list(journal.replay()) == []


def test_what_a_journal_holds_already_is_passed_over_and_told(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, stage="sample", shard=0) as old:
        old.append([{"key": "a"}, {"key": "b", "count": 10**30}])
        old.append([{"key": "c", "ids": [2**70]}, {"key": "d", "logprobs": [-(10**400)]}])
        old.append([{"count": 1}, {"key": "e", "count": 1.5}])
    told: list[tuple[int, str]] = []
    journal = Journal(
        path, stage="sample", shard=0, record=Paid, passed_over=lambda *args: told.append(args)
    )
    assert list(journal.replay()) == [{"key": "a"}]
    [(count, problem)] = told
    assert count == 5 and problem.startswith("count: ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(list(Paid.model_fields)), JSON))
def test_what_is_let_in_can_be_written_as_it_is(record: dict[str, Any]) -> None:
    if find_unreadable(record, Paid) is not None:
        return
    row = Paid.model_validate(record).model_dump()
    [back] = pa.RecordBatch.from_pylist([row], arrow_schema(Paid)).to_pylist()
    as_read = Paid.model_validate(back)
    assert as_read.ids == row["ids"] and as_read.key == row["key"]
    assert all(map(math.isfinite, as_read.logprobs or []))
