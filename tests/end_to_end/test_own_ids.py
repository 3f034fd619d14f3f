"""A user's own ids and chosen columns, from the source to every table, and back to the row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from dfgen.cli.main import cli
from dfgen.config.pipeline import Pipeline
from dfgen.export.tables import TABLES
from dfgen.records import Mask, Trajectory
from dfgen.store.finished import open_finished
from dfgen.store.run import Run
from dfgen.store.shards import ShardTable
from dfgen.trainers.examples import make_examples
from dfgen.validate.source_ids import check_source_ids
from tests.support.scripted_models import Models, answer_by_index, make_pipeline

WORDS = ["fine", "poor", "bad", "poor"]
REPAIRS = {"poor": ["fine"], "bad": ["bad"]}
ROWS: list[dict[str, Any]] = [
    {"question": f"What is thing {i}?", "answer": "fine", "nr": f"own-{i}", "level": i, "by": "me"}
    for i in range(5)
] + [
    {"question": "What is thing 1?", "answer": "fine", "nr": "own-again", "level": 9, "by": "me"},
    {"question": "What is it?", "answer": "fine", "nr": "own-2", "level": 9, "by": "me"},
    {"question": "What is this?", "answer": "fine", "nr": "", "level": 9, "by": "me"},
    {"question": "", "answer": "fine", "nr": "own-empty", "level": 9, "by": "me"},
    {"question": "What is that?", "answer": "fine", "nr": 17.0, "level": 9, "by": "me"},
]


def make_own_pipeline(folder: Path, **mask: Any) -> Pipeline:
    make_pipeline(folder)
    source = folder / "own.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    columns = {"id": "nr", "metadata": ["level", "by"]}
    return make_pipeline(folder, prompts={"path": str(source), "columns": columns}, mask=mask)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    pipeline = make_own_pipeline(folder, metadata=["level"])
    with pytest.MonkeyPatch.context() as patch:
        Models(answer_by_index(WORDS), REPAIRS).run(folder / "run", pipeline, patch)
    return folder / "run"


def call(*arguments: str) -> Any:
    return CliRunner().invoke(cli, list(arguments))


def test_every_table_names_the_row_as_its_owner_does(root: Path) -> None:
    run = Run.open_or_create(root, None)
    prompts = {row["prompt_id"]: row["source_id"] for row in run.table("prompts").iter_rows()}
    assert sorted(prompts.values()) == ["17", "own-0", "own-1", "own-2", "own-3", "own-4"]
    for name in ("trajectories", "masks"):
        rows = list(run.table(name).iter_rows())
        assert rows and all(row["source_id"] == prompts[row["prompt_id"]] for row in rows)
    rejects = list(run.rejects("repair").iter_rows())
    assert rejects and all(row["source_id"] == prompts[row["prompt_id"]] for row in rejects)
    levels = {row["nr"]: row["level"] for row in ROWS[:5]} | {"17": 9}
    for row in run.table("masks").iter_rows():
        assert json.loads(row["metadata"]) == {"level": levels[row["source_id"]]}
    assert call("validate", str(root)).exit_code == 0


def test_rows_without_an_id_of_their_own_are_rejects(root: Path) -> None:
    rejects = list(Run.open_or_create(root, None).rejects("prompts").iter_rows())
    assert [(row["reason"], row["source_id"]) for row in rejects] == [
        ("duplicate", "own-again"),
        ("duplicate_id", "own-2"),
        ("id_missing", None),
        ("question_missing", "own-empty"),
    ]


def test_an_id_that_a_bad_row_had_is_free(tmp_path: Path) -> None:
    from tests.prompts.source_files import read

    rows = [
        {"question": "", "answer": "1", "id": "a"},
        {"question": "q", "answer": "1", "id": "a"},
        {"question": "r", "answer": "1", "id": "a"},
        {"question": "r", "answer": "1", "id": "b"},
    ]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read(source="jsonl", path=str(source), columns={"id": "id"})
    assert [getattr(row, "reason", "prompt") for row in found] == [
        "question_missing",
        "prompt",
        "duplicate_id",
        "prompt",  # the reject before it does not stand in its way
    ]


@pytest.mark.parametrize("table", sorted(TABLES))
def test_exports_take_own_ids_and_metadata_along(root: Path, tmp_path: Path, table: str) -> None:
    result = call("export", str(root), "--to", table, "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    files = sorted((tmp_path / "out").rglob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert rows
    for row in rows:
        holder = row["metadata"] if table == "slime" else row
        assert holder["source_id"] in {"17", *(f"own-{i}" for i in range(5))}
        assert json.loads(holder["metadata"])["level"] in range(10)


def test_examples_for_trainers_know_the_row(root: Path, tmp_path: Path) -> None:
    assert call("export", str(root), "--to", "groups", "--out", str(tmp_path / "g")).exit_code == 0
    examples = list(make_examples(tmp_path / "g", "df+repair"))
    assert {example.source_id for example in examples} == {"17", *(f"own-{i}" for i in range(5))}
    assert all(json.loads(example.metadata or "")["level"] in range(10) for example in examples)


def test_inspect_finds_a_row_by_its_own_id(root: Path) -> None:
    result = call("inspect", str(root), "--id", "own-3")
    assert result.exit_code == 0 and "What is thing 3?" in result.stdout
    assert "your id own-3" in result.stdout and "thing 1?" not in result.stdout
    found = json.loads(call("inspect", str(root), "--id", "17", "--json").stdout)
    assert [row["sample_index"] for row in found["trajectories"]] == [0, 1, 2, 3]
    assert {row["prompt"]["question"] for row in found["trajectories"]} == {"What is that?"}
    assert [row["source_id"] for row in found["rejects"]["rows"]] == ["17"]
    refused = call("inspect", str(root), "--id", "own-empty")
    assert "question_missing" in refused.stdout and "own-empty" in refused.stdout
    nobody = call("inspect", str(root), "--id", "nobody")
    assert nobody.exit_code == 1 and "no row has the own id 'nobody'" in nobody.output


def test_a_run_without_own_ids_says_so(root: Path, tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        run = Models(answer_by_index(WORDS), REPAIRS).run(tmp_path / "run", pipeline, patch)
    result = call("inspect", str(run.root), "--id", "own-3")
    assert result.exit_code == 1 and "without own ids" in result.output


def test_rejects_are_shown_with_own_ids(root: Path) -> None:
    shown = call("inspect", str(root), "--rejects").stdout
    assert "your id" in shown and "own-again" in shown
    listed = json.loads(call("inspect", str(root), "--rejects", "--json").stdout)["rejects"]
    assert {row["source_id"] for row in listed["rows"]} >= {"own-again", "own-2", "own-empty"}


def test_the_report_holds_own_ids(root: Path, tmp_path: Path) -> None:
    from dfgen.report.page_data import describe_row
    from dfgen.report.samples import gather_samples

    key = next(row["trajectory_id"] for row in open_finished(root).run.table("masks").iter_rows())
    (sample,) = gather_samples(open_finished(root), {key}, pictures=False)
    assert describe_row(sample, 0)["ownId"].startswith("own-")


@pytest.mark.parametrize("table", ["trajectories", "masks"])
def test_validate_finds_ids_that_were_exchanged(root: Path, tmp_path: Path, table: str) -> None:
    import shutil

    copy = shutil.copytree(root, tmp_path / "run")
    model = Trajectory if table == "trajectories" else Mask
    shards = ShardTable(copy / table, model)
    rows = [model.model_validate(row) for row in shards.iter_rows(0)]
    rows[0].source_id = "own-4"
    shards.write(0, rows)
    run = Run.open_or_create(copy, None)
    assert any("'own-4'" in problem for problem in check_source_ids(run))
    assert call("validate", str(copy)).exit_code != 0


def test_validate_finds_metadata_of_another_row(root: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(root, tmp_path / "run")
    shards = ShardTable(copy / "masks", Mask)
    rows = [Mask.model_validate(row) for row in shards.iter_rows(0)]
    rows[-1].metadata = '{"level": 70}'
    shards.write(0, rows)
    (problem,) = check_source_ids(Run.open_or_create(copy, None))
    assert "carries other metadata" in problem


def test_metadata_that_was_not_read_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"names .lvel., which columns"):
        make_own_pipeline(tmp_path, metadata=["lvel"])
