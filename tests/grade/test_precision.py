"""Per-row precision: a data set says to how many decimals each reference is stated."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.config.grade import GradeConfig
from dfgen.errors import RowError
from dfgen.grade.grading import grade_inline
from dfgen.grade.pool import GradePool
from dfgen.grade.verdict import GradeItem
from dfgen.prompts.answers import read_precision


@pytest.mark.parametrize(
    ("found", "answer", "precision", "right"),
    [
        ("3.14159", "3.14", 2, True),
        ("3.145", "3.14", 2, True),
        ("3.1451", "3.14", 2, False),
        ("3.2", "3.14", 1, False),
        ("3.19", "3.14", 1, True),
        ("-3.14159", "3.14", 2, False),
        ("12.4", "12", 0, True),
        ("12.6", "12", 0, False),
        ("3.2", "3.14", None, False),
    ],
)
def test_half_a_unit_of_the_last_decimal_is_allowed(
    found: str, answer: str, precision: int | None, right: bool
) -> None:
    item = GradeItem(f"Answer: {found}", answer, "numeric", (), precision)
    verdict = grade_inline(item, GradeConfig())
    assert verdict is not None
    assert verdict.correct is right
    with GradePool(GradeConfig()) as pool:
        assert pool.grade_one(item).correct is right


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        *((empty, None) for empty in (None, "", " ", float("nan"))),
        *((two, 2) for two in (2, 2.0, "2", "2.0")),
        (0, 0),
    ],
)
def test_cells_that_say_a_number_of_decimals(cell: object, expected: int | None) -> None:
    assert read_precision(cell) == expected


@pytest.mark.parametrize("cell", ["two", -1, 16, 1.5, True, [1], {"a": 1}, 10**400, "1e9"])
def test_other_cells_are_refused(cell: object) -> None:
    with pytest.raises(RowError, match="number of decimals") as caught:
        read_precision(cell)
    assert caught.value.reason == "precision_invalid"


def test_a_column_reaches_the_grader(tmp_path: Path) -> None:
    """From the source through the import to the reward."""
    rows = [
        {"question": f"How long, {n}?", "answer": "3.14", "decimals": decimals, "response": said}
        for n, (decimals, said) in enumerate(
            [(2, "3.1416"), (None, "3.17"), (1, "3.17"), ("x", "3")]
        )
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "imports": {
            "path": str(tmp_path / "rows.jsonl"),
            "columns": {"precision": "decimals"},
            "tokenizer": "demo:policy",
        }
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    arguments = ["import", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    prompts = pq.read_table(tmp_path / "run" / "prompts").to_pylist()
    assert [row["precision"] for row in prompts] == [2, None, 1]
    rewards = pq.read_table(tmp_path / "run" / "trajectories").to_pylist()
    assert [row["reward"] for row in rewards] == [1.0, 0.0, 1.0]
    rejects = pq.read_table(tmp_path / "run" / "rejects").to_pylist()
    assert [row["reason"] for row in rejects] == ["precision_invalid"]
