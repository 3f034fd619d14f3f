"""`dfgen mask --pairs`: people's own (wrong, right) texts become mask files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dfgen.cli.main import cli

ROWS: list[dict[str, Any]] = [
    {"id": "a", "wrong": "I see 3 cats.", "right": "I see 4 cats."},
    {"id": "b", "wrong": "same", "right": "same"},
    {"id": "a", "wrong": "again", "right": "the same id"},
    {"id": "c", "wrong": None, "right": "no wrong text"},
    {"id": "d", "wrong": "ids", "right": "other", "completion_ids": [1, 2, "x"]},
    {"id": "e", "wrong": "ids", "right": "other", "completion_ids": [10**6]},
]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def mask_pairs(source: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(
        cli, ["mask", "--pairs", str(source), "--out", str(out), "--json", *options]
    )


def read(out: Path, folder: str) -> list[dict[str, Any]]:
    return [
        row
        for f in sorted((out / folder).glob("*.parquet"))
        for row in pq.read_table(f).to_pylist()
    ]


def test_rows_keep_their_ids_and_bad_ones_say_why(tmp_path: Path) -> None:
    result = mask_pairs(write_jsonl(tmp_path / "p.jsonl", ROWS), tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["counts"] == {"input": 6, "output": 2, "rejects": 4}
    masks = {row["trajectory_id"]: row for row in read(tmp_path / "out", "masks")}
    assert set(masks) == {"a", "b"}
    assert sum(masks["a"]["loss_mask"]) == 1
    assert not any(masks["b"]["loss_mask"])
    assert masks["a"]["ids_source"] == "encoded"
    reasons = {row["reason"] for row in read(tmp_path / "out", "rejects")}
    assert {"duplicate_id", "text_missing", "ids_invalid"} <= reasons
    assert CliRunner().invoke(cli, ["validate", str(tmp_path / "out")]).exit_code == 0


def test_parquet_with_other_names_and_pictures(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(picture, "PNG")
    table = pa.Table.from_pylist(
        [
            {
                "rejected": "one dog",
                "chosen": "two dogs",
                "image": {"bytes": picture.getvalue(), "path": "x.png"},
                "question": "How many?",
            }
        ]
    )
    pq.write_table(table, tmp_path / "p.parquet")
    result = mask_pairs(
        tmp_path / "p.parquet", tmp_path / "out", "--map", "wrong=rejected", "--map", "right=chosen"
    )
    assert result.exit_code == 0, result.output
    (mask,), (prompt,) = read(tmp_path / "out", "masks"), read(tmp_path / "out", "prompts")
    assert mask["prompt_id"] == prompt["prompt_id"]
    assert mask["trajectory_id"] == "p.parquet:0"
    assert prompt["question"] == "How many?"
    assert prompt["images"][0]["bytes"] == picture.getvalue()


def test_several_processes_make_the_same_files(tmp_path: Path) -> None:
    rows = [{"id": str(i), "wrong": f"it is {i}", "right": f"it is {i + 1}"} for i in range(4100)]
    source = write_jsonl(tmp_path / "p.jsonl", rows)
    for workers in ("1", "2"):
        result = mask_pairs(source, tmp_path / workers, "--workers", workers)
        assert result.exit_code == 0, result.output
    one, two = (
        {f.name: f.read_bytes() for f in (tmp_path / w / "masks").glob("*")} for w in ("1", "2")
    )
    assert len(one) == 3
    assert one == two


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--map", "wrong"), "not of the form FIELD=COLUMN"),
        (("--map", "worng=x"), "did you mean 'wrong'?"),
        (("--map", "wrong=gone"), "no column 'gone'"),
        (("--set", "mask.crums=false"), "did you mean 'crumbs'?"),
        (("--tokenizer", "/nowhere"), "/nowhere"),
    ],
)
def test_wrong_options(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    source = write_jsonl(tmp_path / "p.jsonl", ROWS[:1])
    result = mask_pairs(source, tmp_path / "out", *options)
    assert result.exit_code == 1, result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_pairs_or_pipeline_but_not_both(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["mask", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "either PIPELINE" in result.output


def test_retokenize_needs_masks(tmp_path: Path) -> None:
    arguments = ["retokenize", str(tmp_path), "--tokenizer", "demo:policy", "--out", "x"]
    assert "holds no mask files" in CliRunner().invoke(cli, arguments).output
