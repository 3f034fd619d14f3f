"""`dfgen status` of a run that several share: who has which shard, what failed, and --watch."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dfgen.cli.main import cli
from dfgen.ending import Ended
from dfgen.errors import EngineError
from dfgen.status.pace import measure_pace
from dfgen.status.run_status import measure_run
from dfgen.status.worker import Sightings, find_workers
from dfgen.store.activity import Activity
from dfgen.store.layout import LAUNCH, SHARED
from dfgen.store.lock import describe_this_process
from dfgen.store.run import Run
from dfgen.store.shared.crew import Crew, Member, encode_member, name_record
from dfgen.store.shared.failures import note_failure
from dfgen.store.shared.files import PosixFiles
from tests.support.forking import start_module
from tests.support.sample_run import make_run
from tests.support.scripted_models import Models, answer_by_index, make_pipeline
from tests.support.waiting import wait_until


@pytest.fixture
def half(tmp_path: Path) -> Run:
    """A run that was sampled and not repaired."""
    with pytest.MonkeyPatch.context() as patch:
        models = Models(answer_by_index(["fine", "poor", "bad", "fine"]), {})
        return models.run(tmp_path / "half", make_pipeline(tmp_path), patch, ("prompts", "sample"))


def add_worker(root: Path, token: str, shards: list[int], **fields: Any) -> Member:
    """Let a process of another machine say that it works on some shards."""
    files = PosixFiles(root / SHARED)
    holder = replace(
        describe_this_process(),
        token=token,
        **{"host": fields.pop("host", f"node-{token}"), "pid": fields.pop("pid", 4711)},
    )
    activity = Activity(token, "repair", "", 14, 0, 3, 2, 1, 6.0, "")
    member = Member(holder, activity=vars(activity) | {}, **fields)
    files.create(name_record(token), encode_member(member))
    for shard in shards:
        claim = {"worker": token, "since": f"2026-11-26T12:00:0{shard}+00:00"}
        files.create(f"claims/repair-{shard:05d}", json.dumps(claim).encode())
    return member


def show(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["status", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_each_worker_of_a_shared_run_is_shown_with_its_shards(half: Run) -> None:
    add_worker(half.root, "one", [0, 2])
    add_worker(half.root, "two", [1])
    shown = show(str(half.root))
    assert "2 processes are at work" in shown
    assert "on node-one since" in shown and "on node-two since" in shown
    assert "  repair shards 0, 2 since 2026-11-26T12:00:00+00:00" in shown
    assert "  repair shard 1 since 2026-11-26T12:00:01+00:00" in shown
    found = json.loads(show(str(half.root), "--json"))
    assert [each["host"] for each in found["workers"]] == ["node-one", "node-two"]
    assert found["workers"][0]["shards"] == [
        {"stage": "repair", "shard": 0, "since": "2026-11-26T12:00:00+00:00"},
        {"stage": "repair", "shard": 2, "since": "2026-11-26T12:00:02+00:00"},
    ]
    repair = next(each for each in found["stages"] if each["stage"] == "repair")
    # Each does three rows in six seconds, and 14 wrong answers are left.
    assert (repair["running"], repair["rows_per_s"]) == (3, 1.0)
    assert repair["seconds_left"] == repair["pending"] == 14


def test_the_dead_do_not_count(half: Run) -> None:
    here = describe_this_process().host
    process = start_module("dfgen", "--version")
    process.communicate(timeout=300)
    add_worker(half.root, "dead", [0], host=here, pid=process.pid)
    workers = find_workers(half.root)
    assert [worker.alive for worker in workers] == [False]
    status = measure_run(half.root)
    assert status.state == "unfinished"
    repair = next(each for each in status.stages if each.stage == "repair")
    pace = measure_pace(repair, status.workers)
    assert (pace.running, pace.rows_per_s, pace.seconds_left) == (0, None, None)


def test_who_looks_twice_trusts_no_clock_of_others(
    half: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is an hour behind makes nobody silent whose sign of life was seen to come."""
    monkeypatch.setattr("dfgen.store.shared.crew.format_now", lambda: "2020-01-01T00:00:00+00:00")
    member = add_worker(half.root, "slow", [0])
    sightings = Sightings()
    assert [worker.alive for worker in find_workers(half.root, sightings)] == [None]
    files = PosixFiles(half.root / SHARED)
    found = files.read(name_record("slow"))
    assert found is not None
    files.replace(name_record("slow"), encode_member(replace(member, beat=1)), found[1])
    [worker] = find_workers(half.root, sightings)
    assert worker.alive is True
    assert worker.age_s < 60


def test_why_workers_failed_is_said_while_their_stage_is_not_done(half: Run) -> None:
    for _ in range(3):
        note_failure(half.root, "repair", EngineError("no GPU.", where="gpu0", hint="Find one."))
    note_failure(half.root, "sample", EngineError("long past."))
    shown = show(str(half.root))
    assert "failed in repair on" in shown and "(3 times)" in shown
    assert "  gpu0: no GPU.\n  Find one." in shown
    assert "long past" not in shown, "that stage is done"
    found = json.loads(show(str(half.root), "--json"))["failures"]
    assert [each["stage"] for each in found] == ["repair"] * 3
    # What somebody else has put there is passed over.
    (half.root / LAUNCH / "failures" / "x.json").write_text("[1]")
    assert show(str(half.root)) == shown


def test_a_finished_run_is_looked_at_once(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", prompts=3, samples=2)
    assert show(str(root), "--watch") == show(str(root)) + "\n"
    assert show(str(root), "--watch", "--json") == show(str(root), "--json")
    result = CliRunner().invoke(cli, ["status", str(root), "--every", "3"])
    assert result.exit_code == 2
    assert "--every is for --watch" in result.output


def test_a_run_is_watched_until_it_is_finished(half: Run, tmp_path: Path) -> None:
    """Each look is a line of JSON; nothing is written in the run."""
    before = {path: path.stat().st_mtime_ns for path in half.root.rglob("*")}
    out = tmp_path / "looks.jsonl"
    words = ["status", half.root, "--watch", "--json", "--every", "0.1"]
    process = start_module("tests.support.to_file", out, *words)
    wait_until(lambda: out.exists() and out.read_text().count("\n") >= 2)
    assert {path: path.stat().st_mtime_ns for path in half.root.rglob("*")} == before
    with pytest.MonkeyPatch.context() as patch:
        models = Models(answer_by_index(["fine"]), {"poor": ["fine"], "bad": ["fine"]})
        models.run(half.root, half.read_pipeline(), patch, ("repair", "mask"))
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    looks = [json.loads(line) for line in out.read_text().splitlines()]
    assert looks[0]["state"] == "unfinished"
    assert looks[-1]["state"] == "finished"
    assert all(sorted(look) == sorted(looks[0]) for look in looks)


def test_ctrl_c_is_how_watching_ends(half: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dfgen.cli.commands.status.time.sleep", interrupt)
    result = CliRunner().invoke(cli, ["status", str(half.root), "--watch"])
    assert (result.exit_code, result.stderr) == (0, "")


def test_who_ends_watching_otherwise_is_not_told_that_the_run_is_finished(
    half: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(seconds: float) -> None:
        raise Ended(signal.SIGTERM)

    monkeypatch.setattr("dfgen.cli.commands.status.time.sleep", end)
    result = CliRunner().invoke(cli, ["status", str(half.root), "--watch"])
    assert (result.exit_code, result.stderr) == (143, "")


def test_looking_gives_nobody_up(half: Run) -> None:
    """Only who wants a shard may take it; the record of a silent worker stays."""
    here = describe_this_process().host
    add_worker(half.root, "dead", [0], host=here, pid=2**22 - 1)
    show(str(half.root))
    files = PosixFiles(half.root / SHARED)
    assert [each.token for each in Crew(files, half.root).iter_members()] == ["dead"]
    assert list((half.root / SHARED / "claims").iterdir())
