"""Records: one definition for Python, Parquet and JSON Schema."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from dfgen.arrow_types import Arrow
from dfgen.config.schema import list_schemas
from dfgen.records import RECORDS, Mask, Record, Reject
from dfgen.store.arrow_schema import arrow_schema

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("record", RECORDS)
def test_schema_names_record_and_version(record: type[Record]) -> None:
    schema = arrow_schema(record)
    assert schema.metadata[b"dfgen.schema"].decode() == record.SCHEMA
    assert schema.names == list(record.model_fields)


def test_types_are_the_ones_of_the_method() -> None:
    schema = arrow_schema(Mask)
    assert schema.field("completion_ids").type == pa.list_(pa.int32())
    assert schema.field("logprobs").type == pa.list_(pa.float32())
    assert schema.field("loss_mask").type == pa.list_(pa.bool_())
    assert schema.field("token_ops").type == pa.list_(pa.int8())
    assert schema.field("step_ids").type == pa.list_(pa.int16())
    assert schema.field("weights").nullable
    assert not schema.field("loss_mask").nullable


def test_unknown_type_is_refused() -> None:
    class Odd(BaseModel):
        value: set[int]

    with pytest.raises(TypeError, match="annotate it with Arrow"):
        arrow_schema(Odd)


def test_annotation_chooses_the_width() -> None:
    class Narrow(BaseModel):
        value: Annotated[int, Arrow("uint8")]

    assert arrow_schema(Narrow).field("value").type == pa.uint8()


@given(st.builds(Reject, stage=st.sampled_from(["prompts", "mask"])))
def test_round_trip_through_parquet(reject: Reject) -> None:
    table = pa.Table.from_pylist([reject.model_dump()], schema=arrow_schema(Reject))
    sink = io.BytesIO()
    pq.write_table(table, sink)
    sink.seek(0)
    (row,) = pq.read_table(sink).to_pylist()
    assert Reject.model_validate(row) == reject


def test_checked_in_schemas_are_the_generated_ones() -> None:
    for name, schema in list_schemas().items():
        path = ROOT / "schemas" / name
        assert path.exists(), f"run `make schemas`: {name} is missing"
        assert json.loads(path.read_text("utf-8")) == schema, f"run `make schemas`: {name} is old"
    assert {p.name for p in (ROOT / "schemas").glob("*.json")} == set(list_schemas())


def test_every_field_of_a_schema_says_what_it_is() -> None:
    mask = list_schemas()["mask.schema.json"]["properties"]
    undocumented = {name for name, field in mask.items() if "description" not in field}
    obvious = {"trajectory_id", "prompt_id", "sample_index", "completion", "finish_reason"}
    assert undocumented <= obvious | {"ids_source", "reward", "repair", "quality"}


def test_demo_recipe_is_the_packaged_one() -> None:
    packaged = ROOT / "dfgen" / "demo" / "demo.yaml"
    assert (ROOT / "pipelines" / "demo.yaml").read_text("utf-8") == packaged.read_text("utf-8")
