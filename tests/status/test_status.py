"""`dfgen status`: the figures of a full count, without reading, locking or writing anything."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.errors import DamagedFileError
from dfgen.report.stats import collect_numbers
from dfgen.sizes import write_size
from dfgen.stages.progress import NotedProgress, Silence
from dfgen.stages.repair.spending import SpentCount
from dfgen.status.lines import write_duration
from dfgen.status.run_status import measure_run
from dfgen.status.spending import measure_spending
from dfgen.status.stages import measure_stages
from dfgen.status.worker import find_workers
from dfgen.store.activity import ActivityFile, read_activity
from dfgen.store.counts import count_rows
from dfgen.store.finished import open_finished
from dfgen.store.finishing import finish_shard
from dfgen.store.layout import ACTIVITY, LOCK
from dfgen.store.lock import describe_this_process, encode_holder
from dfgen.store.redoing import begin_redo
from dfgen.store.run import Run
from dfgen.store.shards import ShardTable
from tests.store.examples import make_prompt
from tests.support.sample_run import make_run
from tests.support.scripted_models import Models, answer_by_index, make_pipeline


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("status") / "run", prompts=8, samples=4)


@pytest.fixture
def half(tmp_path: Path) -> Run:
    """A run that was sampled and not repaired."""
    with pytest.MonkeyPatch.context() as patch:
        models = Models(answer_by_index(["fine", "poor", "bad", "fine"]), {})
        return models.run(tmp_path / "half", make_pipeline(tmp_path), patch, ("prompts", "sample"))


def show(*arguments: str) -> Any:
    result = CliRunner().invoke(cli, ["status", *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in arguments else result.stdout


def test_a_finished_run_that_is_damaged_is_not_called_finished_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", prompts=2, samples=2)
    (run / "masks" / "part-00000.parquet").write_bytes(b"PAR1")
    first, *more = show(str(run)).splitlines()
    assert first == f"{run}: finished, but damaged"
    assert any(line.startswith("damaged: ") for line in more)


def test_counts_are_those_of_a_full_count(root: Path, half: Run) -> None:
    for path in (root, half.root):
        run = Run.open_or_create(path, None)
        found = {each.stage: each for each in measure_stages(run)}
        for stage, counts in count_rows(run).items():
            assert {name: getattr(found[stage], name) for name in counts} == counts, stage


def test_finished_shards_are_counted_without_opening_a_table(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: ShardTable, shard: int) -> Any:
        raise AssertionError(f"{self.path(shard)} was opened")

    monkeypatch.setattr(ShardTable, "_open", refuse)
    stages = measure_stages(Run.open_or_create(root, None))
    assert [each.state for each in stages] == ["done"] * 4
    assert stages[-1].output > 0


def test_money_is_what_stats_say(root: Path) -> None:
    finished = open_finished(root)
    numbers = collect_numbers(finished)["repairs"]
    spent = measure_spending(finished.run)
    assert spent.requests == numbers["attempts"] > 0
    assert spent.cost_usd == pytest.approx(numbers["cost_usd"])


def test_keys_of_the_json_are_stable(root: Path) -> None:
    found = show(str(root), "--json")
    assert sorted(found) == [
        *("created", "dfgen", "failures", "kind", "name", "next_stage", "out", "problem"),
        *("rejects", "run"),
        *("spending", "stages", "state", "workers"),
    ]
    assert (found["state"], found["next_stage"], found["workers"]) == ("finished", None, [])
    assert found["failures"] == []
    assert sorted(found["stages"][0]) == [
        *("finished", "input", "journalled", "output", "pending", "rejects", "rows_per_s"),
        *("running", "seconds_left", "shards", "shards_done", "stage", "started", "state"),
    ]
    assert sorted(found["spending"]) == [
        *("cost_usd", "max_cost_usd", "max_requests", "requests", "unknown")
    ]
    assert all(sorted(each) == ["code", "rows", "stage"] for each in found["rejects"])


def test_nothing_is_written(root: Path) -> None:
    def look() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in root.rglob("*")}

    before = look()
    show(str(root))
    assert look() == before


def test_a_run_that_waits_says_what_comes_next(half: Run) -> None:
    shown = show(str(half.root))
    assert "not finished, nobody is at work" in shown
    assert f"`dfgen run {half.root}` goes on with repair" in shown


def test_who_works_how_fast_and_how_long_is_said(half: Run) -> None:
    ticks = iter([0.0, 0.0, 0.0, 100.0, 100.0, 100.0])
    with half.lock():
        file = ActivityFile(half.root, clock=lambda: next(ticks))
        with NotedProgress(Silence(), file) as progress:
            progress.start("repair", 14, 4)
            progress.advance(5, accepted=4, rejected=1, note="$1.20")
            (worker,) = show(str(half.root), "--json")["workers"]
            shown = show(str(half.root))
    assert worker["pid"] == os.getpid() and worker["alive"] is True and worker["since"]
    assert (worker["stage"], worker["rows"], worker["rows_total"]) == ("repair", 5, 14)
    assert (worker["rows_per_s"], worker["seconds_left"]) == (0.05, 100.0)
    assert "a process is at work" in shown and "100 s" in shown and "$1.20" in shown
    assert show(str(half.root), "--json")["workers"] == []
    assert not (half.root / ACTIVITY).exists()


def test_a_model_that_is_being_loaded_is_said(half: Run) -> None:
    with half.lock(), NotedProgress(Silence(), ActivityFile(half.root)) as progress:
        progress.tell("loading the model big (transformers)\x1b[2J")
        shown = show(str(half.root))
    assert "loading the model big" in shown and "\x1b" not in shown


def test_news_of_a_dead_process_is_none(half: Run) -> None:
    """kill -9 leaves lock and activity; the next holder of the lock has another token."""
    dead = replace(describe_this_process(), start_time=1)
    (half.root / LOCK).write_bytes(encode_holder(dead))
    file = ActivityFile(half.root)
    file.start("sample", 10, 0)
    (worker,) = find_workers(half.root)
    assert worker.alive is False
    shown = show(str(half.root))
    assert "its process has died" in shown and "working on" not in shown
    assert read_activity(half.root, dead.token) is not None
    assert read_activity(half.root, "another token") is None


def test_a_disk_that_takes_no_news_ends_nothing(half: Run, tmp_path: Path) -> None:
    copy = shutil.copytree(half.root, tmp_path / "gone")
    file = ActivityFile(copy)
    shutil.rmtree(copy)
    file.start("sample", 10, 0)
    file.remove()


def test_status_works_while_shards_are_written(tmp_path: Path) -> None:
    run = Run.open_or_create(tmp_path / "run", make_pipeline(tmp_path))
    ended = threading.Event()
    problems: list[BaseException] = []

    def watch() -> None:
        try:
            while not ended.is_set():
                measure_run(run.root)
        except BaseException as error:
            problems.append(error)

    with run.lock():
        run.set_stage("prompts", state="running", counts={})
        watcher = threading.Thread(target=watch)
        watcher.start()
        for shard in range(30):
            finish_shard(run, "prompts", shard, [make_prompt(f"p{shard}")])
            if shard % 10 == 9:
                run.set_stage("prompts", state="done", counts={"input": shard + 1})
        ended.set()
        watcher.join()
    assert not problems
    assert measure_stages(run)[0].output == 30


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["status", str(tmp_path)])
    assert result.exit_code == 1 and "there is no run here" in result.output


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2.0 h"), (172_800, "2 days")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert write_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (123_456, "123 KB"), (2 * 10**15, "2000 TB")],
)
def test_sizes_are_short(size: int, text: str) -> None:
    assert write_size(size) == text


def test_money_that_was_set_aside_counts(root: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(root, tmp_path / "copy"))
    before = measure_spending(Run.open_or_create(copy, None))
    run = Run.open_or_create(copy, None)
    with run.lock():
        begin_redo(run, {"repair": [0]}, {"repair": [0], "mask": [0]})
    found = measure_spending(Run.open_or_create(copy, None))
    spent = SpentCount().count(run)
    assert (found.requests, found.cost_usd) == (spent.requests, spent.cost_usd)
    assert found.requests == before.requests
    assert found.cost_usd == pytest.approx(before.cost_usd)


def test_what_was_set_aside_and_is_damaged_is_named_with_the_way_out(
    root: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(root, tmp_path / "copy"))
    run = Run.open_or_create(copy, None)
    with run.lock():
        begin_redo(run, {"repair": [0]}, {"repair": [0], "mask": [0]})
    path = copy / "history/0001/repairs/part-00000.parquet"
    path.write_bytes(path.read_bytes()[:100])
    for count in (measure_spending, SpentCount().count):
        with pytest.raises(DamagedFileError) as caught:
            count(run)
        assert caught.value.where == str(path)
        assert f"delete {copy / 'history/0001'}" in str(caught.value)
    assert f"damaged: a file is damaged, {path}: " in show(str(copy))


def test_a_repair_counts_once_though_its_answer_is_noted_when_it_comes_and_when_it_is_judged(
    half: Run,
) -> None:
    half.set_stage("repair", state="running", counts={})
    shard = half.list_noted("sample")[0]
    wrong = [row["trajectory_id"] for row in half.table("trajectories").iter_rows(shard)][:2]
    with half.journal("repair", shard) as journal:
        for purpose in ("repair", "control"):
            for name in wrong:
                attempt = {"index": 0, "accepted": False, "reason": "unjudged"}
                head = {"trajectory_id": name, "purpose": purpose}
                journal.append([head | {"judged": False, "about": None, "attempt": attempt}])
                attempt = attempt | {"accepted": name == wrong[0]}
                journal.append([head | {"about": None, "attempt": attempt}])
    (repair,) = [each for each in measure_stages(half) if each.stage == "repair"]
    assert repair.journalled == 1


def test_a_stage_at_which_nobody_works_does_not_run(half: Run) -> None:
    half.set_stage("repair", state="running", counts={})
    (line,) = [line for line in show(str(half.root)).splitlines() if line.startswith("repair")]
    assert "begun" in line and "running" not in line
    with half.lock():
        (line,) = [line for line in show(str(half.root)).splitlines() if line.startswith("repair")]
    assert "running" in line


def test_rows_of_other_workers_are_not_called_done_before(tmp_path: Path) -> None:
    told = Told()
    file = ActivityFile(tmp_path)
    NotedProgress(told, file, shared=True).start("sample", 116, 84)
    NotedProgress(told, file).start("sample", 116, 84)
    assert told.starts == [("sample", 32, 0), ("sample", 116, 84)]


class Told(Silence):
    """Keeps what it is told of beginnings."""

    def __init__(self) -> None:
        self.starts: list[tuple[str, int | None, int]] = []

    def start(self, stage: str, total: int | None, done: int) -> None:
        self.starts.append((stage, total, done))
