"""`--redo STAGE[:SHARD,...]`: what goes, what stays, what it costs, and that it survives a kill."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.config.pipeline import Pipeline
from dfgen.errors import ConfigError
from dfgen.stages.redo import Redo, read_redo
from dfgen.stages.repair.spending import SpentCount
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.support.killing import Killed, kill_after
from tests.support.scripted_models import Models, answer_by_index, make_pipeline
from tests.support.scripted_runs import hash_tables, invoke

WORDS = ["fine", "fair", "poor", "bad"]
REPAIRS = {"poor": ["fine"], "bad": ["fine"], "fair": ["fine"]}
TABLES = ("prompts", "trajectories", "repairs", "masks", "rejects")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("redo")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Pipeline:
    return make_pipeline(folder)


@pytest.fixture(scope="module")
def made(folder: Path, pipeline: Pipeline) -> Path:
    """A finished run of three shards, to be copied."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        Models(answer_by_index(WORDS), REPAIRS).run(folder / "made", pipeline, monkeypatch)
    return folder / "made"


@pytest.fixture
def root(tmp_path: Path, made: Path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    models = Models(answer_by_index(WORDS), REPAIRS)
    models.replace_engines(monkeypatch)
    return models


def hash_files(root: Path) -> dict[str, str]:
    return hash_tables(root, TABLES)


def count_spent(root: Path) -> tuple[int, float]:
    spent = SpentCount().count(Run.open_or_create(root, None))
    return spent.requests, spent.cost_usd


def test_what_was_paid_for_goes_only_with_a_clear_yes(root: Path, models: Models) -> None:
    before, spent = hash_files(root), count_spent(root)
    refusal = invoke("run", root, "-q", "--redo", "repair", code=1).output
    assert "14 repairs of 14 requests, which cost $1.4000" in refusal and "--yes" in refusal
    assert "mask, shards 0, 1, 2: 28 masks, which cost nothing" in refusal
    shown = invoke("run", root, "--redo", "repair", "--dry-run").stdout
    assert "14 repairs of 14 requests" in shown
    assert hash_files(root) == before and not (root / "history").exists()
    invoke("run", root, "-q", "--redo", "repair", "--yes")
    assert hash_files(root) == before
    assert (models.drawn.total(), models.asked.total()) == (0, 14)
    assert count_spent(root) == (2 * spent[0], pytest.approx(2 * spent[1]))
    kept = sorted(path.name for path in (root / "history/0001/repairs").iterdir())
    assert kept == [f"part-0000{shard}.parquet" for shard in range(3)]
    assert audit(Run.open_or_create(root, None)) == []


def test_masks_go_without_a_word_and_are_not_kept(root: Path, models: Models) -> None:
    before = hash_files(root)
    invoke("mask", root, "-q", "--redo", "mask:1")
    assert hash_files(root) == before and not (root / "history").exists()
    assert models.asked.total() == 0


def test_a_damaged_shard_is_made_anew_and_the_others_stay(root: Path, models: Models) -> None:
    before = hash_files(root)
    path = root / "repairs/part-00001.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert (
        "part-00001.parquet cannot be read"
        in invoke("run", root, "--redo", "repair:1", code=1).output
    )
    invoke("run", root, "-q", "--redo", "repair:1", "--yes")
    assert hash_files(root) == before
    assert models.asked.total() == 6
    assert (root / "history/0001/repairs/part-00001.parquet.damaged").exists()
    assert audit(Run.open_or_create(root, None)) == []


def test_a_damaged_note_of_a_shard_is_no_hindrance(root: Path, models: Models) -> None:
    before = hash_files(root)
    (root / "journal").mkdir(exist_ok=True)
    (root / "journal/mask-00001.done.json").write_text("{")
    assert "--redo mask:1" in invoke("run", root, code=1).output
    invoke("run", root, "-q", "--redo", "mask:1")
    assert hash_files(root) == before and audit(Run.open_or_create(root, None)) == []


@pytest.mark.parametrize("stage", ["sample", "prompts"])
def test_what_is_made_of_it_goes_with_it(stage: str, root: Path, models: Models) -> None:
    before = hash_files(root)
    invoke("run", root, "-q", "--redo", f"{stage}:0,2", "--yes")
    assert hash_files(root) == before
    assert (models.drawn.total(), models.asked.total()) == (16, 8)
    assert audit(Run.open_or_create(root, None)) == []


@pytest.mark.parametrize(
    ("stage", "setting"),
    [
        ("repair", "repair.system=Be brief."),
        ("sample", "sample.temperature=0.5"),
        ("prompts", "prompts.columns.question=question"),
        ("mask", "mask.crumbs=false"),
    ],
)
def test_a_stage_made_anew_takes_other_settings(
    stage: str, setting: str, root: Path, models: Models
) -> None:
    if stage != "prompts":
        refusal = invoke("run", root, "-q", "--set", setting, code=1).output
        assert f"--redo {stage}" in refusal and "delete" not in refusal
    invoke("run", root, "-q", "--set", setting, "--redo", stage, "--yes")
    invoke("run", root, "-q")
    run = Run.open_or_create(root, None)
    assert audit(run) == []
    if stage != "prompts":
        assert [list(change.fields) for change in run.manifest.changes] == [
            [setting.partition("=")[0]]
        ]


def test_another_source_takes_the_place_of_the_first(
    root: Path, models: Models, tmp_path: Path
) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"question": "What else?", "answer": "fine"}\n')
    settings = ("--set", f"prompts.path={other}")
    assert "prompts.path" in invoke("run", root, "-q", *settings, code=1).output
    invoke("run", root, "-q", *settings, "--redo", "prompts", "--yes")
    run = Run.open_or_create(root, None)
    assert audit(run) == [] and run.table("prompts").shards() == [0]
    assert run.table("masks").num_rows(0) == 4


def test_nothing_is_set_aside_where_the_source_is_gone(
    root: Path, models: Models, tmp_path: Path
) -> None:
    before = hash_files(root)
    gone = ("--set", f"prompts.path={tmp_path / 'gone.jsonl'}")
    refusal = invoke("run", root, "-q", *gone, "--redo", "prompts:1", "--yes", code=1).output
    assert "gone.jsonl" in refusal
    assert hash_files(root) == before and not (root / "history").exists()
    assert Run.open_or_create(root, None).manifest.redoing is None


@pytest.mark.parametrize("more", [[], [{"question": "What is new?", "answer": "fine"}] * 1])
def test_nothing_is_set_aside_where_the_source_lacks_prompts_of_the_shard(
    root: Path, models: Models, tmp_path: Path, folder: Path, more: list[dict[str, str]]
) -> None:
    """Rows that are new would come into the places of those that are gone."""
    before, manifest = hash_files(root), (root / "run.json").read_bytes()
    lines = (folder / "questions.jsonl").read_text().splitlines()
    kept = [*lines[:3], lines[4], lines[6], *map(json.dumps, more)]
    (tmp_path / "fewer.jsonl").write_text("".join(f"{line}\n" for line in kept))
    fewer = ("--set", f"prompts.path={tmp_path / 'fewer.jsonl'}")
    refusal = invoke("run", root, "-q", *fewer, "--redo", "prompts:0,1", "--yes", code=1).output
    text = " ".join(refusal.split())
    assert "2 prompts of the shards to be made anew are not in the source any more" in text
    assert "(shards 1)" in text and "questions.jsonl:4: What is thing 3?" in text
    assert "questions.jsonl:6: What is thing 5?" in text
    assert "[OLD, NEW]" in text and "missing=drop" in text
    shown = invoke("run", root, *fewer, "--redo", "prompts:0,1", "--dry-run", code=1).output
    assert "not in the source any more" in " ".join(shown.split())
    assert hash_files(root) == before and not (root / "history").exists()
    assert (root / "run.json").read_bytes() == manifest
    limited = invoke("run", root, "-q", "--limit", 4, "--redo", "prompts:2", "--yes", code=1)
    assert "within prompts.limit=4" in " ".join(limited.output.split())
    # Shards that it still has can be made anew, and so can those that cannot be read.
    invoke("run", root, "-q", *fewer, "--redo", "prompts:0", "--yes")
    assert [models.drawn.total(), models.asked.total()] == [12 + 4 * len(more), 6 + 2 * len(more)]


def test_while_a_refused_row_may_be_what_is_gone_the_way_out_is_named(
    root: Path, models: Models, tmp_path: Path, folder: Path
) -> None:
    """Dropping would be refused: the advice is what works, and works."""
    lines = (folder / "questions.jsonl").read_text().splitlines()
    source = tmp_path / "fewer.jsonl"
    source.write_text(
        "".join(f"{line}\n" for line in (*lines[:3], '{"question": "?"}', *lines[4:]))
    )
    fewer = ("--set", f"prompts.path={source}")
    refusal = invoke("run", root, "-q", *fewer, "--redo", "prompts:1", "--yes", code=1).output
    text = " ".join(refusal.split())
    assert "1 refused row of the source may be among them" in text
    assert "To let go of prompts that are gone" not in text and text.endswith("`--redo prompts`.")
    kept = invoke("run", root, *fewer, "--set", "prompts.missing=drop").output
    text = " ".join(kept.split())
    assert "kept: 1 refused row" in text and "`--redo prompts` reads the whole source anew" in text
    invoke("run", root, "-q", *fewer, "--redo", "prompts", "--yes")
    run = Run.open_or_create(root, None)
    questions = [row["question"] for row in run.table("prompts").iter_rows()]
    assert len(questions) == len(lines) - 1 and audit(run) == []


def has_ended(root: Path) -> bool:
    """Whether all that a command had to do is done and noted."""
    manifest = Run.open_or_create(root, None).manifest
    stages = ("prompts", "sample", "repair", "mask")
    return manifest.redoing is None and all(
        manifest.get_stage(stage).state == "done" for stage in stages
    )


@pytest.mark.parametrize(
    ("stage", "stride"),
    [
        ("repair", 13),
        *(pytest.param(stage, 1, marks=pytest.mark.slow) for stage in ("repair", "sample", "mask")),
    ],
)
def test_killed_anywhere_the_same_command_goes_on(
    stage: str, stride: int, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop before renames and removals: the same files, and nothing paid for twice."""
    before, step = hash_files(made), 0
    asked = {"repair": 14, "sample": 14, "mask": 0}[stage]
    while True:
        root = tmp_path / str(step)
        shutil.copytree(made, root)
        models = Models(answer_by_index(WORDS), REPAIRS)
        with monkeypatch.context() as patch:
            models.replace_engines(patch)
            killed = False
            try:
                with kill_after(patch, step):
                    CliRunner().invoke(
                        cli,
                        ["run", str(root), "-q", "--redo", stage, "--yes", "--no-check"],
                        catch_exceptions=False,
                    )
            except Killed:
                killed = True
            (root / "run.lock").unlink(missing_ok=True)  # this process lives on
            # When all is made anew and noted, the same command would be a new one.
            if not asked or models.asked.total() < asked or not has_ended(root):
                invoke("run", root, "-q", "--redo", stage, "--yes")
        run = Run.open_or_create(root, None)
        assert audit(run) == [] and hash_files(root) == before
        if killed:
            assert models.asked.total() <= asked + 1
            assert len(list(root.glob("history/*"))) <= 1
        else:
            break
        step += stride
    assert step > 14


def test_only_what_a_command_makes(root: Path) -> None:
    assert "dfgen run" in invoke("mask", root, "--redo", "repair", code=2).output
    assert (
        "no shard 9 of repair: it has 0 to 2"
        in invoke("repair", root, "--redo", "repair:9", code=1).output
    )
    assert "--yes is for --redo" in invoke("run", root, "--yes", code=2).output


def test_how_it_is_written() -> None:
    assert read_redo("repair") == Redo("repair")
    assert read_redo("mask:3,1") == Redo("mask", (1, 3))
    for wrong in ("repairs", "repair:", "repair:a", "repair:1,,2", "repair:-1", ""):
        with pytest.raises(ConfigError, match="--redo"):
            read_redo(wrong)
