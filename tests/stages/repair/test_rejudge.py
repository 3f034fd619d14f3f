"""Settings that only judge do not make paid answers worthless: `dfgen repair RUN --rejudge`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dfgen.check.finding import Finding
from dfgen.check.scope import EngineUse
from dfgen.cli.main import cli
from dfgen.config.pipeline import Pipeline
from dfgen.errors import EngineError
from dfgen.runners.local import run_stages
from dfgen.stages.repair import rejudge
from dfgen.stages.repair.rejudge import begin_rejudge
from dfgen.stages.repair.spending import SpentCount
from dfgen.stages.repair.stage import RepairStage
from dfgen.stages.session import Session
from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.faults.server import Script, list_reversals, repair_run, sample_run
from tests.faults.server import make_pipeline as make_served_pipeline
from tests.support.killing import Killed, kill_after
from tests.support.loopback import LoopbackServer
from tests.support.scripted_models import Models, answer_by_index, make_pipeline
from tests.support.scripted_runs import hash_tables, invoke
from tests.support.word_graders import STRICT

WORDS = ["fine", "fair", "poor", "bad"]
REPAIRS = {"poor": ["bad", "fine"], "bad": ["fine"], "fair": ["fine"]}
TABLES = ("trajectories", "repairs", "controls", "masks", "rejects")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return make_pipeline(tmp_path_factory.mktemp("rejudge"), repair={"max_edit_ratio": 0.01})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, pipeline: Pipeline) -> Path:
    """A finished run in which every repair was too large, after two attempts each."""
    root = tmp_path_factory.mktemp("rejudge") / "made"
    with pytest.MonkeyPatch.context() as monkeypatch:
        models = Models(answer_by_index(WORDS), REPAIRS)
        run = models.run(root, pipeline, monkeypatch)
    assert models.asked.total() == 28 and not any(run.table("repairs").iter_rows())
    return root


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


def count_spent(root: Path) -> tuple[int, Any]:
    spent = SpentCount().count(Run.open_or_create(root, None))
    requests, dollars = spent.requests, spent.cost_usd
    return requests, pytest.approx(dollars)


def test_a_larger_budget_takes_what_was_paid_for(root: Path, models: Models) -> None:
    before, spent = hash_files(root), count_spent(root)
    wider = ("--set", "repair.max_edit_ratio=0.9")
    refusal = invoke("repair", root, "-q", *wider, code=1).output
    assert "--rejudge" in refusal and "delete" not in refusal
    shown = invoke("repair", root, "--rejudge", "--dry-run", *wider).stdout
    assert "28" in shown and hash_files(root) == before
    assert "28 stored answers" in invoke("repair", root, "--rejudge", *wider).stderr
    run = Run.open_or_create(root, None)
    assert run.table("repairs").num_rows(0) == 6 and models.asked.total() == 0
    assert count_spent(root) == spent
    # Every attempt stays on record, also those that the first accepted one would have spared.
    assert {len(row["attempts"]) for row in run.table("repairs").iter_rows()} == {2}
    invoke("run", root, "-q")
    assert audit(Run.open_or_create(root, None)) == [] and models.asked.total() == 0
    # And back again: the same files.
    invoke("repair", root, "-q", "--rejudge", "--set", "repair.max_edit_ratio=0.01")
    invoke("mask", root, "-q")
    assert hash_files(root) == before and models.asked.total() == 0
    assert [list(change.fields) for change in Run.open_or_create(root, None).manifest.changes] == [
        ["repair.max_edit_ratio"]
    ] * 2


def test_it_asks_where_attempts_are_left(root: Path, models: Models) -> None:
    invoke("repair", root, "-q", "--rejudge", "--set", "repair.max_attempts=3")
    assert models.asked.total() == 14
    assert count_spent(root)[0] == 42
    assert audit(Run.open_or_create(root, None)) == []


@contextmanager
def refuse_to_load(*_: object) -> Iterator[Any]:
    raise EngineError("the repairer is not there any more.")
    yield


def test_a_repairer_that_cannot_be_loaded_is_missed_only_when_it_is_asked(
    root: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfgen.stages.repair.opening.open_lane", refuse_to_load)
    invoke("repair", root, "-q", "--rejudge", "--set", "repair.max_edit_ratio=0.9")
    run = Run.open_or_create(root, None)
    assert run.table("repairs").num_rows(0) == 6
    # What the stage has noted of it when it was there stays.
    assert run.manifest.get_stage("repair").facts["engine"]["model"] == "scripted"
    invoke("mask", root, "-q")
    assert audit(Run.open_or_create(root, None)) == []
    three = ("--set", "repair.max_edit_ratio=0.01", "--set", "repair.max_attempts=3")
    refusal = invoke("repair", root, "-q", "--rejudge", *three, code=1).output
    assert "not there any more" in refusal
    # Judging is not lost: nothing is left to do but to ask, and it is when the model is back.
    models.replace_engines(monkeypatch)
    invoke("repair", root, "-q", "--rejudge", *three)
    assert models.asked.total() == 14


def test_a_rejudging_looks_for_no_repairer_before_it_asks_one(
    root: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when it was begun before, so that the stage is open."""
    monkeypatch.setattr("dfgen.stages.repair.opening.open_lane", refuse_to_load)
    looked: list[str] = []

    def check_server(use: EngineUse, scope: object) -> Iterator[Finding]:
        looked.append(use.section)
        yield Finding("error", "nobody answers.")

    monkeypatch.setattr("dfgen.check.checking.check_server", check_server)
    run = Run.open_or_create(root, None)
    pipeline = Pipeline.model_validate(run.manifest.pipeline)
    with run.lock():
        begin_rejudge(Session(run, pipeline), RepairStage().list_facts(Session(run, pipeline)))
    refusal = CliRunner().invoke(cli, ["repair", str(root), "-q"]).output
    assert "nobody answers" in refusal and looked
    looked.clear()
    wider = ["--rejudge", "--set", "repair.max_edit_ratio=0.9"]
    assert CliRunner().invoke(cli, ["repair", str(root), "-q", *wider]).exit_code == 0
    assert not looked


def test_other_settings_are_still_refused(root: Path, models: Models) -> None:
    before = (root / "run.json").read_bytes()
    output = invoke(
        "repair",
        root,
        "--rejudge",
        "--set",
        "repair.system=x",
        "--set",
        "repair.max_edit_ratio=0.9",
        code=1,
    ).output
    assert "repair.system" in output and "max_edit_ratio" not in output
    assert (root / "run.json").read_bytes() == before and models.asked.total() == 0


def test_candidates_are_judged_anew_and_their_number_stays(
    tmp_path: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an attempt was told of others depends on how many go out together."""
    settings = {"max_edit_ratio": 0.01, "candidates": 2}
    root = tmp_path / "candidates"
    models.run(root, make_pipeline(tmp_path, repair=settings), monkeypatch)
    paid = models.asked.total()
    before = hash_files(root)
    refusal = invoke(
        "repair",
        root,
        "--rejudge",
        "--set",
        "repair.candidates=3",
        "--set",
        "repair.max_edit_ratio=0.9",
        code=1,
    ).output
    assert "repair.candidates" in refusal
    assert "cannot be judged by another number of candidates" in " ".join(refusal.split())
    assert hash_files(root) == before and models.asked.total() == paid
    invoke("repair", root, "-q", "--rejudge", "--set", "repair.max_edit_ratio=0.9")
    assert models.asked.total() == paid, "both rounds are there"
    rows = list(Run.open_or_create(root, None).table("repairs").iter_rows())
    assert len(rows) == 14 and {len(row["attempts"]) for row in rows} == {4}
    assert audit(Run.open_or_create(root, None)) == []


def test_what_was_paid_stays_booked_whatever_prices_are_now(root: Path, models: Models) -> None:
    spent = count_spent(root)
    price = ("--set", "repair.engine.price.prompt=50")
    invoke("repair", root, "-q", "--rejudge", "--set", "repair.max_edit_ratio=0.9", *price)
    assert count_spent(root) == spent


def test_answers_that_are_right_now_keep_their_cost_and_come_back(
    root: Path, models: Models
) -> None:
    """Repairs of `poor` are taken back by a grader that calls it right, and not paid for again."""
    invoke("repair", root, "-q", "--rejudge", "--set", "repair.max_edit_ratio=0.9")
    spent = count_spent(root)
    invoke("regrade", root, "-q", "--set", f"grade.grader={STRICT}")
    assert count_spent(root) == spent
    invoke("run", root, "-q")
    asked = models.asked.total()
    assert asked > 0  # `fair` is wrong now, and nobody was asked about it
    assert count_spent(root)[0] == spent[0] + asked
    invoke("regrade", root, "-q", "--set", "grade.grader=tests.support.word_graders:grade_loosely")
    invoke("repair", root, "-q", "--rejudge")
    assert models.asked.total() == asked
    assert count_spent(root)[0] == spent[0] + asked
    assert audit(Run.open_or_create(root, None)) == []


@pytest.mark.parametrize("stride", [17, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_anywhere_it_goes_on(
    stride: int, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wider = ("--set", "repair.max_edit_ratio=0.9")
    calm = tmp_path / "calm"
    shutil.copytree(made, calm)
    models = Models(answer_by_index(WORDS), REPAIRS)
    models.replace_engines(monkeypatch)
    invoke("repair", calm, "-q", "--rejudge", *wider)
    step, killed = 0, True
    while killed:
        root = tmp_path / str(step)
        shutil.copytree(made, root)
        killed = False
        try:
            with kill_after(monkeypatch, step):
                CliRunner().invoke(
                    cli,
                    ["repair", str(root), "-q", "--rejudge", "--no-check", *wider],
                    catch_exceptions=False,
                )
        except Killed:
            killed = True
        (root / "run.lock").unlink(missing_ok=True)  # this process lives on
        assert count_spent(root)[0] == 28
        invoke("repair", root, "-q", "--rejudge", *wider)
        assert {n: h for n, h in hash_files(root).items() if "repair" in n} == {
            n: h for n, h in hash_files(calm).items() if "repair" in n
        }
        step += stride
    assert step > 17 and models.asked.total() == 0


def test_killed_while_it_opens_shards_a_plain_start_goes_on(
    root: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, opened = rejudge.reopen_shard, []

    def reopen(session: Session, shard: int) -> None:
        if opened:
            raise Killed
        opened.append(shard)
        real(session, shard)

    with monkeypatch.context() as inner, pytest.raises(Killed):
        inner.setattr(rejudge, "reopen_shard", reopen)
        CliRunner().invoke(
            cli,
            ["repair", str(root), "--rejudge", "--no-check", "--set", "repair.max_edit_ratio=0.9"],
            catch_exceptions=False,
        )
    (root / "run.lock").unlink(missing_ok=True)
    invoke("repair", root, "-q", "--set", "repair.max_edit_ratio=0.9")
    assert models.asked.total() == 0
    run = Run.open_or_create(root, None)
    assert sum(map(run.table("repairs").num_rows, run.table("repairs").shards())) == 14


def judge_anew(root: Path, pipeline: Pipeline) -> Run:
    run = Run.open_or_create(root, pipeline)
    with run.lock():
        session = Session(run, pipeline)
        begin_rejudge(session, RepairStage().list_facts(session))
        assert run_stages(session, ("repair",))
    return run


def test_necessity_may_be_asked_for_afterwards_and_left_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests are new questions; when they are wanted no more they are kept, and used once more."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    root, direct = tmp_path / "run", tmp_path / "direct"
    nowhere = make_served_pipeline("http://127.0.0.1:1/v1")
    ideal = sample_run(root, nowhere).ideal
    shutil.copytree(root, direct)
    answers = list_reversals(ideal, Session(Run.open_or_create(root, None), nowhere)) | ideal

    def make(url: str, **settings: Any) -> Pipeline:
        return make_served_pipeline(url, **settings)

    script = Script(answers)
    with LoopbackServer(script) as server:
        repair_run(root, make(server.url))
        plain, first = hash_files(root), sum(script.paid.values())
        tested = make(server.url, necessity="model", controls=1.0)
        run = judge_anew(root, tested)
        assert audit(run) == []
        rows = list(run.table("repairs").iter_rows())
        assert any(e["decided_by"] == "model" for row in rows for e in row["necessity"])
        paid, files = sum(script.paid.values()), hash_files(root)
        assert paid > first
        assert SpentCount().count(run).requests == paid
        run = judge_anew(root, make(server.url, controls=1.0))
        assert SpentCount().count(run).requests == paid == sum(script.paid.values())
        assert {n: h for n, h in hash_files(root).items() if "controls" not in n} == plain
        run = judge_anew(root, tested)
        assert hash_files(root) == files
        assert SpentCount().count(run).requests == paid == sum(script.paid.values())
        assert not list((root / "history").glob("*"))
        # A run that was made with these settings from the start has the same rows.
        repair_run(direct, tested)
    names = [n for n in files if n.startswith(("repairs", "controls"))]
    assert {n: hash_files(direct)[n] for n in names} == {n: files[n] for n in names}
