"""Rows of strangers: each becomes a prompt or a reject, and the row after it is read."""

from __future__ import annotations

import csv
import datetime
import io
import json
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfgen.config.imports import ImportConfig
from dfgen.config.pairs import PairsConfig
from dfgen.config.prompts import PromptsConfig
from dfgen.errors import ConfigError, InputError
from dfgen.prompts.importing import read_trajectories
from dfgen.prompts.pairs import Pair, read_pairs
from dfgen.prompts.questions import replace_placeholders
from dfgen.prompts.reading import read_prompts
from dfgen.prompts.row_edge import read_row
from dfgen.prompts.rows import SourceRow
from dfgen.records import Prompt, Record, Reject
from dfgen.store.arrow_schema import arrow_schema
from tests.prompts.source_files import prompts, read, write_lines
from tests.support.bounded import bounded_work

GOOD = {"question": "How many?", "answer": "3", "response": "3", "wrong": "a 2", "right": "a 3"}


def nest(levels: int, kind: str = "list") -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if kind == "list" else {"a": value}
    return value


def store(record: Record) -> None:
    """Write a record as the run would: whatever is read can be kept."""
    pa.Table.from_pylist([record.model_dump()], arrow_schema(type(record)))


DEEP = "[" * 100_000 + "]" * 100_000
HOSTILE_LINES = {
    "deep json": '{"question": ' + DEEP + "}",
    "deep objects": '{"question": ' + '{"a":' * 950 + "1" + "}" * 951,
    "deep metadata": json.dumps({**GOOD, "meta": nest(600)}),
    "deep metadata, objects": json.dumps({**GOOD, "meta": nest(600, "dict")}),
    "metadata 65 deep": json.dumps({**GOOD, "meta": nest(65)}),
    "choices deep": json.dumps({**GOOD, "options": "[" * 5000}),
    "choices deep signs": json.dumps({**GOOD, "options": "[" + "-" * 50_000 + "1]"}),
    "choices deep python": json.dumps({**GOOD, "options": "[(" * 90 + ")]" * 90}),
    "choices long": json.dumps({**GOOD, "options": "[" + "1," * 200_000 + "]"}),
    "picture list deep": json.dumps({**GOOD, "images": DEEP}),
    "number of 5,000 digits": '{"question": "q", "answer": ' + "9" * 5000 + "}",
    "placeholder of 5,000 digits": json.dumps({**GOOD, "question": f"<image{'9' * 5000}> q"}),
    "precision infinite": json.dumps({**GOOD, "digits": "1e999"}),
    "half a surrogate": '{"question": "\\ud800", "answer": "3"}',
    "picture name with NUL": json.dumps({**GOOD, "images": "a\0b.png"}),
    "picture name of 10 kB": json.dumps({**GOOD, "images": "x" * 10_000}),
    "picture name with newline": json.dumps({**GOOD, "images": "a\nb.png"}),
    "picture name, bidi": json.dumps({**GOOD, "images": "\u202egnp.a"}),
    "picture is a number": json.dumps({**GOOD, "images": 10**400}),
    "picture is a loop": json.dumps({**GOOD, "images": {"path": {"path": "a"}}}),
    "base64 with blanks": json.dumps({**GOOD, "images": "iVBORw0KGgo" + " " * 400_000 + "!"}),
}


@pytest.mark.parametrize("name", HOSTILE_LINES)
def test_a_hostile_line_costs_its_row(tmp_path: Path, name: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(HOSTILE_LINES[name] + "\n" + json.dumps(GOOD) + "\n", "utf-8")
    columns = {"metadata": ["meta"], "choices": "options", "precision": "digits"}
    write_lines(tmp_path / "all.jsonl", [{**GOOD, "question": "z", **dict.fromkeys(columns)}])
    columns_line = {"question": "z", "answer": "1", "meta": 1, "options": None, "digits": 1}
    with file.open("a") as more:
        more.write(json.dumps(columns_line) + "\n")
    with bounded_work():
        bad, *good = read(source="jsonl", path=str(file), columns=columns)
    assert isinstance(bad, Reject), bad
    assert [type(row) for row in good] == [Prompt, Prompt]
    store(bad)
    assert len(bad.detail) < 1500


def test_placeholders_without_end_are_read_in_bounded_time() -> None:
    with bounded_work():
        assert replace_placeholders("<image1>\n" * 100_000) == ""
        assert replace_placeholders("a <image1> b\n" * 100_000).startswith("a [image 1] b")


def test_what_nobody_foresaw_is_a_reject_that_names_it() -> None:
    def fail(row: SourceRow) -> Prompt:
        raise LookupError("\ud800 two\nlines")

    reject = read_row(SourceRow("a", 1, {}), fail)
    assert isinstance(reject, Reject) and reject.reason == "row_unreadable"
    assert "LookupError" in reject.detail and "\n" not in reject.detail
    assert json.loads(reject.evidence) == {"error": "LookupError"}
    store(reject)


@pytest.mark.parametrize("kind", [MemoryError, KeyboardInterrupt, SystemExit, ConfigError])
def test_what_is_no_fault_of_a_row_goes_on(kind: type[BaseException]) -> None:
    def fail(row: SourceRow) -> Prompt:
        raise kind("x")

    with pytest.raises(kind):
        read_row(SourceRow("a", 1, {}), fail)


def test_rows_of_a_downloaded_data_set_name_no_code(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [{**GOOD, "kind": "os:system"}])
    settings = {"path": str(tmp_path), "columns": {"answer_type": "kind"}}
    with pytest.raises(ConfigError, match="only your settings may name code"):
        read(source="datasets", **settings)
    assert prompts(source="datasets", answer_type="os:system", **settings)
    assert prompts(source="jsonl", **settings)


def test_parquet_deeper_than_arrow_goes_is_one_error(tmp_path: Path) -> None:
    kind = pa.int64()
    for _ in range(400):
        kind = pa.list_(kind)
    table = pa.table({"question": ["q"], "answer": ["1"], "meta": pa.array([nest(400)], kind)})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="too deeply nested"):
        read(source="parquet", path=str(tmp_path), columns={"metadata": ["meta"]})


TEXTS = ["", "<image>", "<image1>", "[", "[1]", "{}", "a.png", "data:,x", "data:;base64,!", "/"]
TEXTS += ["..", "file:///etc/passwd", "http://127.0.0.1:1/a", "zip://a::http://127.0.0.1:1", "\0"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(
    LEAVES | st.sampled_from(TEXTS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "url", "bytes", "path", "A", "label"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
NAMES = ["question", "answer", "images", "options", "solution", "kind", "digits", "meta", "id"]
NAMES += ["response", "wrong", "right", "completion_ids"]
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, JSON)), min_size=1, max_size=3)
COLUMNS: dict[str, Any] = {
    "choices": "options",
    "solution": "solution",
    "precision": "digits",
    "metadata": ["meta"],
}
FUZZ = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def check_all(folder: Path, source: str, path: Path, count: int | None) -> None:
    """Read a source in every way: as prompts, as imported answers, as pairs."""
    common: dict[str, Any] = {"source": source, "path": str(path)}
    found: list[Any] = list(read_prompts(PromptsConfig(columns=COLUMNS, **common)))
    assert count is None or len(found) == count
    imports = ImportConfig(
        columns={**COLUMNS, "id": "id", "response_metadata": ["meta"]}, tokenizer="t", **common
    )
    found += [row if isinstance(row, Reject) else row[0] for row in read_trajectories(imports)]
    if source in ("jsonl", "parquet"):
        rows = list(read_pairs(PairsConfig(columns={"id": "id"}, tokenizer="t", **common)))
        assert count is None or len(rows) == count
        found += [row.prompt if isinstance(row, Pair) else row for row in rows]
    for row in found:
        store(row)


@FUZZ
@given(ROWS)
def test_any_line_of_json(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "metadata.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        check_all(folder, "jsonl", file, len(rows))
        check_all(folder, "folder", folder, len(rows))


@FUZZ
@given(st.lists(st.binary(max_size=80), min_size=1, max_size=4), st.booleans())
def test_any_line_of_bytes(lines: list[bytes], as_csv: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / ("metadata.csv" if as_csv else "metadata.jsonl")
        head = ",".join(NAMES) if as_csv else json.dumps(dict.fromkeys(NAMES))
        file.write_bytes(b"\n".join([head.encode(), *lines]))
        try:
            check_all(folder, "folder", folder, None)
        except InputError:
            assert as_csv or b"[" in file.read_bytes() or b"\n" not in file.read_bytes().strip()


@FUZZ
@given(ROWS)
def test_any_cell_of_csv(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stream = io.StringIO(newline="")
        writer = csv.writer(stream)
        writer.writerow(NAMES)
        writer.writerows([[json.dumps(row[key]) for key in NAMES] for row in rows])
        (folder / "metadata.csv").write_text(stream.getvalue(), "utf-8")
        check_all(folder, "folder", folder, len(rows))


CELLS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "text": (pa.string(), st.text()),
    "broken text": (pa.binary(), st.binary()),
    "numbers": (pa.float64(), st.floats()),
    "whole numbers": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "decimals": (pa.decimal256(76, 10), st.decimals(-(10**60), 10**60, places=10)),
    "dates": (pa.date32(), st.dates()),
    "far dates": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "times": (pa.timestamp("us"), st.datetimes()),
    "durations": (pa.duration("us"), st.integers(-(2**62), 2**62)),
    "lists": (pa.list_(pa.string()), st.lists(st.text() | st.none())),
    "structs": (
        pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        st.fixed_dictionaries({"bytes": st.binary() | st.none(), "path": st.text() | st.none()}),
    ),
    "chats": (
        pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
        st.lists(
            st.fixed_dictionaries(
                {"role": st.sampled_from(["user", "gpt", ""]), "content": st.text()}
            )
        ),
    ),
    "maps": (
        pa.map_(pa.string(), pa.string()),
        st.lists(st.tuples(st.text(max_size=1), st.text())),
    ),
    "nothing": (pa.null(), st.none()),
}
RECAST: dict[str, Callable[[Any], Any]] = {
    "broken text": lambda column: pa.Array.from_buffers(
        pa.string(), len(column), column.buffers(), column.null_count
    ),
    "far dates": lambda column: column.view(pa.date32()),
}


@FUZZ
@given(st.data(), st.sampled_from(["parquet", "datasets"]))
def test_any_cell_of_parquet(data: st.DataObject, source: str) -> None:
    columns = {}
    # `datasets` has no type for maps, and refuses the whole table.
    kinds = sorted(CELLS.keys() - ({"maps"} if source == "datasets" else set()))
    for name in NAMES:
        kind = data.draw(st.sampled_from(kinds), label=name)
        type_, values = CELLS[kind]
        column = pa.array(data.draw(st.lists(values | st.none(), min_size=2, max_size=2)), type_)
        columns[name] = RECAST.get(kind, lambda column: column)(column)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pq.write_table(pa.table(columns), folder / "a.parquet")
        check_all(folder, source, folder, 2)


@pytest.mark.parametrize(
    "value",
    [
        10**4000,
        1e308,
        -0.0,
        Decimal("1E+40"),
        datetime.time(1),
        datetime.timedelta(1),
        b"\xff",
        None,
    ],
)
def test_metadata_of_any_type_is_json(value: Any) -> None:
    from dfgen.prompts.metadata import write_metadata

    json.loads(write_metadata({"a": value, "b": [value], "c": {"\0": value}}))


def test_labels_beyond_the_names_are_missing(tmp_path: Path) -> None:
    table = pa.table({"question": ["a", "b"], "answer": pa.array([0, 9], pa.int64())})
    features = datasets.Features(
        {"question": datasets.Value("string"), "answer": datasets.ClassLabel(names=["x"])}
    )
    metadata = {b"huggingface": json.dumps({"info": {"features": features.to_dict()}}).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    found = read(source="datasets", path=str(tmp_path))
    assert [type(row) for row in found] == [Prompt, Reject]
