"""`dfgen import`: other models' answers become graded trajectories."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.config.pipeline import Pipeline
from dfgen.demo.scenes import iter_scenes
from dfgen.errors import RowError, StorageError
from dfgen.records import Prompt
from dfgen.runners.local import run_stages
from dfgen.stages import growth
from dfgen.stages.imports import ImportIngest
from dfgen.stages.session import Session
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.support import scripted_models
from tests.support.killing import Killed, kill_after
from tests.support.word_graders import COUNT, LOOSE


def make_recipe(folder: Path) -> Path:
    rows = []
    for number, scene in enumerate(iter_scenes(3, 5)):
        (folder / f"{number}.png").write_bytes(scene.image_png)
        for model, answer in (("one", scene.answer), ("two", "nothing of the kind")):
            rows.append(
                {
                    "question": scene.question,
                    "image": f"{number}.png",
                    "answer": scene.answer,
                    "response": f"Looking closely.\nAnswer: {answer}",
                    "model": model,
                    "id": f"{model}-{number}",
                    "right": model == "one",
                }
            )
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree = {
        "imports": {
            "path": str(folder / "answers.jsonl"),
            "columns": {"model": "model", "id": "id", "verdict": "right"},
            "tokenizer": "demo:policy",
        }
    }
    path = folder / "import.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def test_answers_are_encoded_graded_and_accounted_for(tmp_path: Path) -> None:
    recipe, run = make_recipe(tmp_path), tmp_path / "run"
    result = CliRunner().invoke(cli, ["import", str(recipe), "--out", str(run)])
    assert result.exit_code == 0, result.output
    rows = pq.read_table(run / "trajectories").to_pylist()
    assert [row["model"] for row in rows] == ["one", "two"] * 3
    assert [row["reward"] for row in rows] == [1.0, 0.0] * 3
    assert {row["ids_source"] for row in rows} == {"encoded"}
    assert all(row["logprobs"] is None for row in rows)
    assert json.loads(rows[0]["metadata"])["row_id"] == "one-0"
    assert [row["source_id"] for row in rows[:2]] == ["one-0", "two-0"]  # of answers, not prompts
    assert set(pq.read_table(run / "prompts")["source_id"].to_pylist()) == {None}
    numbers = json.loads(CliRunner().invoke(cli, ["stats", str(run), "--json"]).stdout)
    assert numbers["people"]["agreement"] == 1.0
    assert CliRunner().invoke(cli, ["validate", str(run)]).exit_code == 0


def test_importing_again_changes_nothing_and_other_answers_are_named(tmp_path: Path) -> None:
    recipe, run = make_recipe(tmp_path), tmp_path / "run"
    arguments = ["import", str(recipe), "--out", str(run)]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    before = (run / "trajectories" / "part-00000.parquet").read_bytes()
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert (run / "trajectories" / "part-00000.parquet").read_bytes() == before
    source = tmp_path / "answers.jsonl"
    source.write_text(source.read_text().replace("closely", "briefly", 1))
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "1 prompt of the run is in the source with other answers" in result.output
    assert "answers.jsonl:1: " in result.output
    assert (run / "trajectories" / "part-00000.parquet").read_bytes() == before
    result = CliRunner().invoke(cli, [*arguments, "--set", "imports.missing=drop"])
    assert result.exit_code == 0, result.output
    assert "kept as it was; `--redo prompts:0`" in result.output
    assert (run / "trajectories" / "part-00000.parquet").read_bytes() == before
    assert CliRunner().invoke(cli, ["validate", str(run)]).exit_code == 0


def test_new_prompts_are_graded_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken row that comes later changes no shard that is there."""
    graded, root = tmp_path / "graded", tmp_path / "run"
    monkeypatch.setenv(COUNT, str(graded))
    import_answers(root, make_sharded_recipe(tmp_path, SHARDED[:12]))
    before = hash_tables(root)
    graded.write_text("")
    broken = {"question": "?", "answer": "fine", "response": ""}
    run = import_answers(root, make_sharded_recipe(tmp_path, [*SHARDED, broken]))
    assert len(graded.read_text().splitlines()) == 9
    assert {name: hash_tables(root)[name] for name in before} == before
    assert run.manifest.get_stage("sample").counts["output"] == 21
    assert [row["reason"] for row in run.rejects("prompts").iter_rows()] == ["response_missing"]
    assert audit(run) == []


STRANGE = {"question": "What is 1?", "answer": "fine", "response": "a strange fine"}


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A row whose answer no tokenizer of this run gives back, as one of a foreign tongue."""
    real = ImportIngest._encode

    def encode(ingest: ImportIngest, prompt: Prompt, index: int, answer: Any, *rest: Any) -> Any:
        if answer.text == STRANGE["response"]:
            raise RowError("not_encodable", "the tokenizer does not give this text back.")
        return real(ingest, prompt, index, answer, *rest)

    monkeypatch.setattr(ImportIngest, "_encode", encode)
    return STRANGE


def test_answers_that_were_refused_are_not_taken_for_others(
    tmp_path: Path, strange: dict[str, str]
) -> None:
    rows = [*SHARDED[:6], strange]
    root = tmp_path / "run"
    run = import_answers(root, make_sharded_recipe(tmp_path, rows))
    assert [row["reason"] for row in run.rejects("sample").iter_rows()] == ["not_encodable"]
    before = hash_tables(root)
    run = import_answers(root, make_sharded_recipe(tmp_path, [*rows, *SHARDED[6:]]))
    assert {name: hash_tables(root)[name] for name in before} == before
    assert run.manifest.get_stage("prompts").facts["absent"]["changed"]["count"] == 0
    assert audit(run) == []


def test_a_pipeline_without_answers_is_refused(tmp_path: Path) -> None:
    recipe = Path(__file__).parents[2] / "pipelines" / "demo.yaml"
    result = CliRunner().invoke(cli, ["import", str(recipe), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "there is no `imports` section" in result.output
    assert not (tmp_path / "run").exists()


def test_masks_without_a_repairer_are_outcome_masks(tmp_path: Path) -> None:
    recipe, run = make_recipe(tmp_path), tmp_path / "run"
    result = CliRunner().invoke(cli, ["run", str(recipe), "--out", str(run)])
    assert result.exit_code == 0, result.output
    masks = pq.read_table(run / "masks").to_pylist()
    assert [row["mask_source"] for row in masks] == ["correct", "outcome"] * 3
    assert all(all(row["loss_mask"]) for row in masks)
    assert [row["source_id"] for row in masks[:2]] == ["one-0", "two-0"]
    shown = CliRunner().invoke(cli, ["inspect", str(run), "--id", "two-1"]).stdout
    assert "your id two-1" in shown and "two-0" not in shown
    assert CliRunner().invoke(cli, ["validate", str(run)]).exit_code == 0


SHARDED = [
    {"question": f"What is {number}?", "answer": "fine", "response": f"{text} {number} fine"}
    for number in range(7)
    for text in ("It is", "We see", "Look:")
]
"""Seven prompts in shards of three, with three answers each."""


def make_sharded_recipe(folder: Path, rows: list[dict[str, str]] = SHARDED) -> Pipeline:
    source = folder / "answers.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree = {
        "imports": {
            "path": str(source),
            "tokenizer": "demo:policy",
            "images": {"min_per_prompt": 0},
            "shard_size": 3,
        },
        "grade": {"grader": LOOSE},
    }
    return Pipeline.model_validate(tree)


def import_answers(root: Path, pipeline: Pipeline) -> Run:
    run = Run.open_or_create(root, pipeline)
    with run.lock():
        run_stages(Session(run, pipeline), ("prompts",))
    return run


def hash_tables(root: Path) -> dict[str, bytes]:
    return {
        f"{table}/{path.name}": path.read_bytes()
        for table in ("prompts", "trajectories")
        for path in (root / table).glob("*.parquet")
    }


@pytest.mark.parametrize("broken_at", [("prompts", 1), ("sample", 1), ("prompts", 2)])
def test_what_is_written_is_not_graded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_at: tuple[str, int]
) -> None:
    """The disk is full in the middle of three shards: only the answers of the others are graded."""
    pipeline, graded = make_sharded_recipe(tmp_path), tmp_path / "graded"
    monkeypatch.setenv(COUNT, str(graded))
    import_answers(tmp_path / "whole", pipeline)
    assert len(graded.read_text().splitlines()) == 21
    real = Session.finish_shard

    def fail(session: Session, stage: str, shard: int, *rest: Any, **options: Any) -> None:
        if (stage, shard) == broken_at:
            raise StorageError("no space left.")
        real(session, stage, shard, *rest, **options)

    monkeypatch.setattr(Session, "finish_shard", fail)
    with pytest.raises(StorageError):
        import_answers(tmp_path / "run", pipeline)
    monkeypatch.setattr(Session, "finish_shard", real)
    written = broken_at[1] * 9
    graded.write_text("")
    run = import_answers(tmp_path / "run", pipeline)
    assert len(graded.read_text().splitlines()) == 21 - written
    assert hash_tables(tmp_path / "run") == hash_tables(tmp_path / "whole")
    assert run.manifest.get_stage("sample").counts == {"input": 21, "output": 21, "rejects": 0}
    assert audit(run) == []


def test_a_stop_between_two_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, graded = make_sharded_recipe(tmp_path), tmp_path / "graded"
    monkeypatch.setenv(COUNT, str(graded))
    run = Run.open_or_create(tmp_path / "run", pipeline)
    session = Session(run, pipeline)
    real = session.finish_shard

    def stop(stage: str, *rest: Any, **options: Any) -> None:
        real(stage, *rest, **options)
        session.stop.requested = stage == "sample"

    monkeypatch.setattr(session, "finish_shard", stop)
    with run.lock():
        assert not run_stages(session, ("prompts",))
    assert len(graded.read_text().splitlines()) == 9
    # Again while what is there is read a second time: nothing is taken for gone.
    session = Session(Run.open_or_create(tmp_path / "run", pipeline), pipeline)
    session.stop.requested = True
    with session.run.lock():
        assert not run_stages(session, ("prompts",))
    run = import_answers(tmp_path / "run", pipeline)
    assert len(graded.read_text().splitlines()) == 21
    assert run.manifest.get_stage("sample").counts["output"] == 21
    assert audit(run) == []


def test_a_stop_between_two_shards_of_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = scripted_models.make_pipeline(tmp_path)
    run = Run.open_or_create(tmp_path / "run", pipeline)
    session = Session(run, pipeline)
    real = session.finish_shard

    def stop(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        session.stop.requested = True

    monkeypatch.setattr(session, "finish_shard", stop)
    with run.lock():
        assert not run_stages(session, ("prompts",))
    assert run.manifest.get_stage("prompts").state == "running"
    run = import_answers(tmp_path / "run", pipeline)
    assert run.manifest.get_stage("prompts").counts["output"] == 7
    assert audit(run) == []


def write_answers(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return sorted((row["prompt_id"], row["completion"]) for row in rows)


def more(question: int, *words: str) -> list[dict[str, str]]:
    """Rows with further answers to a question of `SHARDED`."""
    asked = SHARDED[3 * question]["question"]
    return [{"question": asked, "answer": "fine", "response": f"newly {word}"} for word in words]


@pytest.mark.parametrize("in_front", [False, True])
def test_new_answers_of_prompts_that_are_there_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_front: bool
) -> None:
    """Wherever they stand: nothing there is graded again, and no other shard is touched."""
    graded, root = tmp_path / "graded", tmp_path / "run"
    monkeypatch.setenv(COUNT, str(graded))
    import_answers(root, make_sharded_recipe(tmp_path, SHARDED[:18]))
    before = hash_tables(root)
    graded.write_text("")
    fresh = [*more(4, "fine", "poor"), *more(3, "fine")]
    rows = [*fresh, *SHARDED] if in_front else [*SHARDED, *fresh]
    pipeline = make_sharded_recipe(tmp_path, rows)
    assert pipeline.imports is not None
    counted = growth.preview(Run.open_or_create(root, None), pipeline.imports).findings
    assert (counted.answers, counted.answered, counted.changed) == (3, 2, [])
    recipe = tmp_path / "wider.yaml"
    recipe.write_text(yaml.safe_dump(pipeline.model_dump(mode="json")))
    command = ["import", str(recipe), "--out", str(root), "--no-check"]
    messages = CliRunner().invoke(cli, command)
    assert "3 new answers of 2 prompts that were there" in messages.output, messages.output
    assert len(graded.read_text().splitlines()) == 6
    after = hash_tables(root)
    assert {name for name in before if after[name] != before[name]} == {
        "trajectories/part-00001.parquet"
    }
    run = Run.open_or_create(root, None)
    whole = import_answers(tmp_path / "whole", pipeline)
    rows_of = [list(each.table("trajectories").iter_rows()) for each in (run, whole)]
    assert write_answers(rows_of[0]) == write_answers(rows_of[1])
    assert [row["sample_index"] for row in rows_of[0]] == [0, 1, 2] * 3 + [0, 1, 2, 3] + [
        0, 1, 2, 3, 4,
    ] + [0, 1, 2] * 2  # fmt: skip
    assert run.manifest.get_stage("prompts").facts["absent"]["changed"]["count"] == 0
    assert audit(run) == []
    graded.write_text("")
    before = hash_tables(root)
    # Read again, though in another order: nothing is new.
    import_answers(root, make_sharded_recipe(tmp_path, [*fresh, *SHARDED]))
    assert hash_tables(root) == before and not graded.read_text()


def test_new_answers_behind_refused_ones(tmp_path: Path, strange: dict[str, str]) -> None:
    root, rows = tmp_path / "run", [*SHARDED[:6], strange]
    import_answers(root, make_sharded_recipe(tmp_path, rows))
    run = import_answers(root, make_sharded_recipe(tmp_path, [*rows, *more(1, "fine")]))
    assert len(list(run.table("trajectories").iter_rows())) == 7
    assert len(list(run.rejects("sample").iter_rows())) == 1
    assert audit(run) == []


@pytest.mark.parametrize("changes", range(1, 12))
def test_killed_while_answers_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    root, calm = tmp_path / "run", tmp_path / "calm"
    pipelines = [make_sharded_recipe(tmp_path, SHARDED)]
    for each in (root, calm):
        import_answers(each, pipelines[0])
    wider = make_sharded_recipe(tmp_path, [*SHARDED, *more(0, "fine"), *more(5, "poor")])
    import_answers(calm, wider)
    with suppress(Killed), kill_after(monkeypatch, changes):
        import_answers(root, wider)
    (root / "run.lock").unlink(missing_ok=True)  # of the process that is dead
    run = import_answers(root, wider)
    assert hash_tables(root) == hash_tables(calm)
    assert audit(run) == []
