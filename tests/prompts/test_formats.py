"""CSV is read, and a file that is something else than its section says is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfgen.config.load import make_pairs_pipeline
from dfgen.errors import InputError
from dfgen.prompts.pairs import read_pairs
from tests.prompts.source_files import prompts, read, rejects

LINE = '{"question": "How many?", "answer": "3"}\n'
TABLE = 'question,answer\nHow many?,3\n"Which, then?",red\n'


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_csv_is_read_with_its_own_delimiter(tmp_path: Path, mark: str) -> None:
    (tmp_path / "rows.csv").write_text(
        TABLE.replace("n,a", f"n{mark}a").replace("?,3", f"?{mark}3").replace('",r', f'"{mark}r')
    )
    found = prompts(source="csv", path=str(tmp_path / "rows.csv"))
    assert [(p.question, p.answer) for p in found] == [("How many?", "3"), ("Which, then?", "red")]
    assert [p.source for p in found] == ["rows.csv:2", "rows.csv:3"]


@pytest.mark.parametrize("name", ["rows.csv.gz", "folder/rows.csv"])
def test_csv_compressed_and_in_a_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    content = TABLE.encode()
    path.write_bytes(gzip.compress(content, mtime=0) if name.endswith("gz") else content)
    source = path if name.endswith("gz") else path.parent
    assert len(prompts(source="csv", path=str(source))) == 2


def test_csv_with_a_byte_order_mark_and_a_short_line(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbf" + TABLE.encode() + b"alone\n")
    (row,) = rejects(source="csv", path=str(tmp_path / "rows.csv"))
    assert row.reason == "row_unreadable" and "1 cells, the header 2" in row.detail


def test_csv_lacks_a_column(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("question;answr\na;b\n")
    with pytest.raises(InputError, match=r"no column 'answer'[\s\S]*Did you mean 'answr'"):
        read(source="csv", path=str(tmp_path / "rows.csv"))


def test_pairs_in_csv(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("id,wrong,right\na,2 + 2 = 5,2 + 2 = 4\n")
    pipeline = make_pairs_pipeline(path, "demo:policy")
    assert pipeline.pairs is not None
    assert len(list(read_pairs(pipeline.pairs))) == 1


def write_parquet(path: Path) -> None:
    pq.write_table(pa.table({"question": ["a"], "answer": ["b"]}), path)


@pytest.mark.parametrize("source", ["jsonl", "csv"])
@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (LINE.encode("utf-16"), ("UTF-16", "iconv -f UTF-16 -t UTF-8")),
        (b"\xfe\xff" + LINE.encode("utf-16-be"), ("UTF-16",)),
        (LINE.encode("utf-32"), ("UTF-32", "iconv -f UTF-32")),
        (gzip.compress(LINE.encode(), mtime=0), ("gzip", ".gz")),
        (b"PK\x03\x04" + bytes(100), ("Excel", "CSV")),
        (b"BZh91AY&SY", ("bzip2", "bunzip2")),
        (None, ("Parquet", "source: parquet")),
    ],
)
def test_other_formats_are_named(
    tmp_path: Path, source: str, content: bytes | None, parts: tuple[str, ...]
) -> None:
    path = tmp_path / "rows.data"
    write_parquet(path) if content is None else path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(source=source, path=str(path))
    assert "rows.data" in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("header", ["question,answer", '"question";"the answer"', "q\ta\timage"])
def test_csv_named_as_json_lines_is_named(tmp_path: Path, header: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{header}\nHow many?,3\n")
    with pytest.raises(InputError, match=r"looks like CSV[\s\S]*source: csv"):
        read(source="jsonl", path=str(path))


@pytest.mark.parametrize("first", ["{broken", "not json", '{"question": "a"', "# notes"])
def test_a_broken_first_line_still_costs_its_row_alone(tmp_path: Path, first: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{first}\n{LINE}")
    broken, whole = read(source="jsonl", path=str(path))
    assert broken.reason == "row_unreadable"  # type: ignore[union-attr]
    assert whole.answer == json.loads(LINE)["answer"]  # type: ignore[union-attr]
