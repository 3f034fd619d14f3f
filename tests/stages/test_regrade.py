"""`dfgen regrade`: what changes, what stays, and that it can be killed anywhere."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dfgen.cli.commands.regrade import show
from dfgen.cli.main import cli
from dfgen.config.pipeline import Pipeline
from dfgen.errors import InputError, RunMismatchError, StorageError
from dfgen.stages.regrade import stage as regrading
from dfgen.stages.regrade.settings import choose_settings
from dfgen.stages.session import Session
from dfgen.store.run import Run
from dfgen.validate.path import validate_path
from tests.support.scripted_models import Models, answer_by_index, make_pipeline
from tests.support.word_graders import COUNT, STRICT

#: right and right; right -> wrong; wrong -> right; wrong and wrong.
WORDS = ["fine", "fair", "poor", "bad"]
#: The repair of `poor` is wanted no more; that of `bad` is right for both graders.
REPAIRS = {"poor": ["fine"], "bad": ["fine"], "fair": ["fine"]}
TABLES = ("prompts", "trajectories", "repairs", "controls", "masks", "rejects")


def hash_files(root: Path, tables: tuple[str, ...] = TABLES) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for table in tables
        for path in sorted((root / table).glob("*.parquet"))
    }


def invoke(root: Path, *options: str) -> Result:
    # A check tries the grader, which would count as grading.
    return CliRunner().invoke(cli, ["regrade", str(root), "--json", "--no-check", *options])


def read(run: Run, table: str, column: str = "reward") -> dict[str, Any]:
    return {row["trajectory_id"]: row[column] for row in run.table(table).iter_rows()}


def change(pipeline: Pipeline, **grade: Any) -> Pipeline:
    return pipeline.model_copy(update={"grade": pipeline.grade.model_copy(update=grade)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("regrade")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Pipeline:
    return make_pipeline(folder)


@pytest.fixture(scope="module")
def made(folder: Path, pipeline: Pipeline) -> Path:
    """A finished run of `WORDS`, to be copied."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_run(folder / "made", pipeline, monkeypatch)
    return folder / "made"


@pytest.fixture(scope="module")
def whole(folder: Path, made: Path) -> tuple[Path, dict[str, Any], int]:
    """A run graded anew without a disturbance, what changed, and how much was graded."""
    root = folder / "whole"
    shutil.copytree(made, root)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv(COUNT, str(folder / "graded"))
        changes = json.loads(invoke(root, "--set", f"grade.grader={STRICT}").stdout)["changes"]
    return root, changes, len((folder / "graded").read_text().splitlines())


@pytest.fixture
def root(tmp_path: Path, made: Path) -> Path:
    """A copy of that run."""
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


def make_models() -> Models:
    return Models(answer_by_index(WORDS), REPAIRS)


def make_run(
    root: Path,
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str] = WORDS,
    repairs: dict[str, list[str]] = REPAIRS,
) -> Models:
    models = Models(answer_by_index(words), repairs)
    models.run(root, pipeline, monkeypatch)
    return models


def test_what_changes_and_what_stays(
    root: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = make_models()
    kept = read(Run.open_or_create(root, None), "repairs", "repair")

    result = invoke(root, "--set", f"grade.grader={STRICT}")
    assert result.exit_code == 0, result.output
    outcome = json.loads(result.stdout)
    assert outcome["settings"] == [
        'grade.grader: "tests.support.word_graders:grade_loosely" -> '
        '"tests.support.word_graders:grade_strictly"'
    ]
    changes = outcome["changes"]
    assert (changes["trajectories"], changes["right_before"], changes["right_after"]) == (
        28,
        14,
        14,
    )
    assert (changes["right_to_wrong"], changes["wrong_to_right"]) == (7, 7)
    assert changes["by_grader"]["strict"]["right_to_wrong"] == 7
    assert changes["repairs"] == {
        "kept": 7,
        "answer_is_right": 7,
        "answer_is_undecided": 0,
        "repair_is_wrong": 0,
    }

    run = Run.open_or_create(root, None)
    assert {key[-1]: value for key, value in read(run, "trajectories").items()} == {
        "0": 1,
        "1": 0,
        "2": 1,
        "3": 0,
    }
    assert read(run, "repairs", "repair") == {k: v for k, v in kept.items() if k.endswith("-3")}
    assert [run.entry("sample", shard).generation for shard in range(3)] == [2, 2, 2]  # type: ignore[union-attr]
    assert run.manifest.pipeline["grade"]["grader"] == STRICT
    assert not list((root / "journal").glob("regrade-*"))
    assert validate_path(root, None).problems == []

    # The old settings are refused with the field named; the new ones do what is left to do.
    with pytest.raises(RunMismatchError, match=r"grade\.grader"):
        models.run(root, pipeline, monkeypatch)
    run = models.run(root, change(pipeline, grader=STRICT), monkeypatch)
    assert not models.drawn, "nothing is drawn again"
    assert Counter(key[-1] for key in models.asked) == {"1": 7}, "nothing is paid for twice"
    sources = {key[-1]: value for key, value in read(run, "masks", "mask_source").items()}
    assert sources == {"0": "correct", "1": "repair", "2": "correct", "3": "repair"}
    assert validate_path(root, None).problems == []
    for stage in ("repair", "mask"):
        assert run.manifest.get_stage(stage).state == "done"


def test_the_end_is_that_of_a_run_graded_so_at_once(
    tmp_path: Path, root: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = change(pipeline, grader=STRICT)
    assert invoke(root, "--set", f"grade.grader={STRICT}").exit_code == 0
    make_models().run(root, strict, monkeypatch)
    make_run(tmp_path / "fresh", strict, monkeypatch)
    tables = ("prompts", "trajectories", "masks", "rejects")
    assert hash_files(root, tables) == hash_files(tmp_path / "fresh", tables)


def test_a_run_in_which_nothing_changes_is_left_to_the_byte(
    tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["fine", "blurred", "bad", "bad"]
    make_run(tmp_path / "run", pipeline, monkeypatch, words, {"bad": ["poor", "fine"]})
    before, run = hash_files(tmp_path / "run"), Run.open_or_create(tmp_path / "run", None)
    entries = run.manifest.shards
    result = invoke(tmp_path / "run")
    assert result.exit_code == 0, result.output
    changes = json.loads(result.stdout)["changes"]
    assert (changes["right_to_wrong"], changes["wrong_to_right"]) == (0, 0)
    assert (changes["undecided_before"], changes["undecided_after"]) == (7, 7)
    run = Run.open_or_create(tmp_path / "run", None)
    assert hash_files(tmp_path / "run") == before
    assert run.manifest.shards == entries
    for stage in run.stages:
        assert run.manifest.get_stage(stage).state == "done"
        assert all(run.is_done(stage, shard) for shard in range(3))
    assert validate_path(tmp_path / "run", None).problems == []


def test_dry_run_says_the_same_and_writes_nothing(root: Path) -> None:
    before, manifest = hash_files(root), (root / "run.json").read_bytes()
    option = ("--set", f"grade.grader={STRICT}")
    preview = json.loads(invoke(root, *option, "--dry-run").stdout)
    assert hash_files(root) == before and (root / "run.json").read_bytes() == manifest
    assert preview == {**json.loads(invoke(root, *option).stdout), "dry_run": True}


def test_undecided_answers_before_and_after(
    tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`blurred` becomes wrong and is repaired; `murky` becomes undecided: its repair goes."""
    root = tmp_path / "run"
    words, repairs = ["fine", "blurred", "murky", "bad"], {"murky": ["fine"], "bad": ["fine"]}
    models = make_run(root, pipeline, monkeypatch, words, {**repairs, "blurred": ["fine"]})
    assert Counter(key[-1] for key in models.asked) == {"2": 7, "3": 7}
    changes = json.loads(invoke(root, "--set", f"grade.grader={STRICT}").stdout)["changes"]
    assert (changes["undecided_before"], changes["undecided_after"]) == (7, 7)
    assert changes["repairs"]["answer_is_undecided"] == 7
    assert validate_path(root, None).problems == []
    models.asked.clear()
    run = models.run(root, change(pipeline, grader=STRICT), monkeypatch)
    assert Counter(key[-1] for key in models.asked) == {"1": 7}
    assert {row["row_id"][-1] for row in run.rejects("mask").iter_rows()} == {"2"}
    assert validate_path(root, None).problems == []


@pytest.mark.parametrize("policy", ["keep", "wrong"])
def test_what_becomes_of_undecided_answers_can_be_changed(
    tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """No verdict changes, and still repairs and masks are to be made anew."""
    words, repairs = ["fine", "blurred", "poor", "bad"], {**REPAIRS, "blurred": ["fine"]}
    models = make_run(tmp_path / "run", pipeline, monkeypatch, words, repairs)
    drawn = hash_files(tmp_path / "run", ("trajectories",))
    assert invoke(tmp_path / "run", "--set", f"grade.undecided={policy}").exit_code == 0
    assert hash_files(tmp_path / "run", ("trajectories",)) == drawn
    assert validate_path(tmp_path / "run", None).problems == []
    models.asked.clear()
    models.run(tmp_path / "run", change(pipeline, undecided=policy), monkeypatch)
    assert Counter(key[-1] for key in models.asked) == ({"1": 7} if policy == "wrong" else {})
    make_run(tmp_path / "fresh", change(pipeline, undecided=policy), monkeypatch, words, repairs)
    assert hash_files(tmp_path / "run") == hash_files(tmp_path / "fresh")
    # And back again: what was bought for them is wanted no more.
    assert invoke(tmp_path / "run", "--set", "grade.undecided=drop").exit_code == 0
    run = models.run(tmp_path / "run", pipeline, monkeypatch)
    assert {row["row_id"][-1] for row in run.rejects("mask").iter_rows()} == {"1"}
    assert validate_path(tmp_path / "run", None).problems == []


def test_a_repair_that_the_new_grader_refuses_is_bought_anew(
    tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "run"
    models = make_run(root, pipeline, monkeypatch, WORDS, {**REPAIRS, "bad": ["fair", "fine"]})
    changes = json.loads(invoke(root, "--set", f"grade.grader={STRICT}").stdout)["changes"]
    assert changes["repairs"]["repair_is_wrong"] == 7
    run = models.run(root, change(pipeline, grader=STRICT), monkeypatch)
    repaired = {k: v for k, v in read(run, "repairs", "repair").items() if k.endswith("-3")}
    assert len(repaired) == 7 and all(text.endswith("fine") for text in repaired.values())
    assert validate_path(root, None).problems == []


def test_controls_of_answers_that_are_wrong_now_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(tmp_path, repair={"controls": 1.0})
    root, repairs = tmp_path / "run", {**REPAIRS, "fine": ["fine"], "fair": ["fair", "fine"]}
    models = make_run(root, pipeline, monkeypatch, ["fair", "fair", "poor", "fair"], repairs)
    assert Counter(key[-1] for key in read(Run.open_or_create(root, None), "controls")) == {
        "0": 7,
        "1": 7,
        "3": 7,
    }
    assert invoke(root, "--set", f"grade.grader={STRICT}").exit_code == 0
    run = Run.open_or_create(root, None)
    assert read(run, "controls") == {}
    assert validate_path(root, None).problems == []
    run = models.run(root, change(pipeline, grader=STRICT), monkeypatch)
    assert {key[-1] for key in read(run, "controls")} <= {"2"}
    assert validate_path(root, None).problems == []


class TestKilled:
    """Stopped after each write in turn, it ends in the same files and grades no shard twice."""

    @pytest.mark.parametrize(
        ("place", "calls", "after"),
        [
            ("reopen_shard", 0, False),
            ("reopen_shard", 1, True),
            ("finish_shard", 0, False),
            ("finish_shard", 1, True),
            ("finish_shard", 2, False),
        ],
    )
    def test_anywhere(
        self,
        tmp_path: Path,
        root: Path,
        pipeline: Pipeline,
        whole: tuple[Path, dict[str, Any], int],
        monkeypatch: pytest.MonkeyPatch,
        place: str,
        calls: int,
        after: bool,
    ) -> None:
        real, made = getattr(regrading, place), []

        def fail(*arguments: Any, **options: Any) -> None:
            made.append(place)
            if len(made) <= calls or after:
                real(*arguments, **options)
            if len(made) > calls:
                raise StorageError("no space left.")

        monkeypatch.setattr(regrading, place, fail)
        graded = tmp_path / "graded"
        monkeypatch.setenv(COUNT, str(graded))
        assert invoke(root, "--set", f"grade.grader={STRICT}").exit_code == 1
        monkeypatch.setattr(regrading, place, real)
        assert Run.open_or_create(root, None).manifest.get_stage("sample").facts["regrading"]
        # No stage works on a run of which only some answers are graded anew.
        models = make_models()
        for settings in (pipeline, change(pipeline, grader=STRICT)):
            with pytest.raises(RunMismatchError):
                models.run(root, settings, monkeypatch)

        # The settings are on record; the grader is tried before a start, which is no grading.
        result = invoke(root, "--no-check")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["changes"] == whole[1]
        assert hash_files(root) == hash_files(whole[0])
        assert len(graded.read_text().splitlines()) == whole[2], "nothing is graded twice"
        models.run(root, change(pipeline, grader=STRICT), monkeypatch)
        assert Counter(key[-1] for key in models.asked) == {"1": 7}
        assert not models.drawn
        assert validate_path(root, None).problems == []

    def test_a_stop_is_asked_for(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run = Run.open_or_create(root, None)
        session = Session(run, choose_settings(run, None, [f"grade.grader={STRICT}"]))
        real = regrading.finish_shard

        def stop(*arguments: Any, **options: Any) -> None:
            real(*arguments, **options)
            session.stop.requested = True

        monkeypatch.setattr(regrading, "finish_shard", stop)
        with run.lock():
            assert regrading.regrade(session) is None
        generations = [run.entry("sample", shard).generation for shard in range(3)]  # type: ignore[union-attr]
        assert generations == [2, 1, 1]
        monkeypatch.setattr(regrading, "finish_shard", real)
        assert json.loads(invoke(root).stdout)["changes"]["trajectories"] == 28

    def test_other_settings_the_second_time_are_those_that_hold(
        self, root: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = hash_files(root, ("trajectories",))
        real = regrading.finish_shard

        def fail(run: Run, stage: str, shard: int, *rest: Any) -> None:
            real(run, stage, shard, *rest)
            if shard == 1:
                raise StorageError("no space left.")

        monkeypatch.setattr(regrading, "finish_shard", fail)
        assert invoke(root, "--set", f"grade.grader={STRICT}").exit_code == 1
        monkeypatch.setattr(regrading, "finish_shard", real)
        back = invoke(root, "--set", f"grade.grader={pipeline.grade.grader}")
        assert back.exit_code == 0, back.output
        assert hash_files(root, ("trajectories",)) == before
        make_models().run(root, pipeline, monkeypatch)
        assert validate_path(root, None).problems == []


class TestRefused:
    def test_other_settings_by_name(self, tmp_path: Path, root: Path, pipeline: Pipeline) -> None:
        result = invoke(root, "--set", "sample.temperature=0.5")
        assert result.exit_code == 1 and "sample.temperature" in result.stderr
        tree = pipeline.model_dump(mode="json")
        tree["mask"]["outcome"], tree["workers"] = "none", 2
        tree["grade"]["grader"] = STRICT
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump(tree))
        result = invoke(root, "--pipeline", str(file))
        assert result.exit_code == 1
        assert 'mask.outcome: "all" -> "none"' in result.stderr
        assert "grade.grader" not in result.stderr
        tree["mask"]["outcome"] = "all"
        file.write_text(yaml.safe_dump(tree))
        result = invoke(root, "--pipeline", str(file))
        assert result.exit_code == 0, result.output
        recorded = Run.open_or_create(root, None).manifest.pipeline
        assert recorded["grade"]["grader"] == STRICT
        assert recorded["workers"] == 0, "what grades is taken over and nothing else"

    def test_a_run_that_is_not_sampled_to_the_end(
        self, tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Models(answer_by_index(WORDS)).run(tmp_path / "begun", pipeline, monkeypatch, ("prompts",))
        result = invoke(tmp_path / "begun")
        assert result.exit_code == 1 and "not complete" in result.stderr

    def test_masks_without_answers(self, tmp_path: Path) -> None:
        source = tmp_path / "pairs.jsonl"
        source.write_text(json.dumps({"id": "a", "wrong": "3 cats", "right": "4 cats"}))
        command = ["mask", "--pairs", str(source), "--out", str(tmp_path / "run")]
        result = CliRunner().invoke(cli, [*command, "--tokenizer", "demo:policy"])
        assert result.exit_code == 0, result.output
        with pytest.raises(InputError, match="no answers of its own"):
            choose_settings(Run.open_or_create(tmp_path / "run", None), None)


def test_imported_answers(tmp_path: Path) -> None:
    rows = [
        {
            "question": f"What is {i}?",
            "answer": "fine",
            "response": f"It is {word}",
            "id": f"{i}{word}",
        }
        for i in range(3)
        for word in ("fine", "fair", "poor")
    ]
    source = tmp_path / "answers.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    imports = {"path": str(source), "tokenizer": "demo:policy", "columns": {"id": "id"}}
    imports |= {"images": {"min_per_prompt": 0}, "shard_size": 1}
    grade = {"grader": "tests.support.word_graders:grade_loosely"}
    recipe = tmp_path / "import.yaml"
    recipe.write_text(yaml.safe_dump({"imports": imports, "grade": grade}))
    root, runner = tmp_path / "run", CliRunner()
    result = runner.invoke(cli, ["run", str(recipe), "--out", str(root)])
    assert result.exit_code == 0, result.output
    changes = json.loads(invoke(root, "--set", f"grade.grader={STRICT}").stdout)["changes"]
    assert (changes["right_to_wrong"], changes["wrong_to_right"]) == (3, 3)
    assert validate_path(root, None).problems == []
    result = runner.invoke(cli, ["run", str(recipe), "--out", str(root)])
    assert result.exit_code == 1 and "grade.grader" in result.output
    recipe.write_text(yaml.safe_dump({"imports": imports, "grade": {"grader": STRICT}}))
    result = runner.invoke(cli, ["run", str(recipe), "--out", str(root)])
    assert result.exit_code == 0, result.output
    sources = Counter(
        (row["completion"].split()[-1], row["mask_source"])
        for row in Run.open_or_create(root, None).table("masks").iter_rows()
    )
    assert sources == {("fine", "correct"): 3, ("fair", "outcome"): 3, ("poor", "correct"): 3}
    assert validate_path(root, None).problems == []


def test_people_read_what_has_changed(root: Path) -> None:
    arguments = ["regrade", str(root), "--set", f"grade.grader={STRICT}"]
    result = CliRunner().invoke(cli, [*arguments, "--dry-run"])
    assert result.exit_code == 0, result.output
    for part in (
        "grade.grader",
        "right to wrong",
        "wrong to right",
        "strict",
        "Nothing was written",
    ):
        assert part in result.stdout


def test_the_run_that_goes_on_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    show(Path("runs/a"), [], {"repairs": {"kept": 0}, "by_grader": {}}, dry_run=False)
    assert "`dfgen run runs/a` repairs and masks" in capsys.readouterr().out
