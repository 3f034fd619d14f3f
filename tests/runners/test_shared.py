"""Processes that share a run end with what one alone would have made, whatever happens to some."""

from __future__ import annotations

import json
import signal
from itertools import count
from pathlib import Path
from shutil import copytree

import pytest

from dfgen.stages.repair.spending import SpentCount
from dfgen.store.run import Run
from tests.support.scripted_worker import TOGETHER
from tests.support.shared_runs import SharedRuns, assert_same, finish, kill
from tests.support.small_disk import fill, mount_disk
from tests.support.waiting import wait_until


@pytest.fixture
def runs(tmp_path: Path) -> SharedRuns:
    """Seven questions, one or two a shard, six answers each."""
    return SharedRuns(tmp_path, {"prompts": {"shard_size": 2}, "sample": {"num_samples": 6}})


def test_three_workers_make_what_one_makes(runs: SharedRuns) -> None:
    calm = runs.make_calm()
    workers = [runs.start(pause="0.02") for _ in range(3)]
    for worker in workers:
        finish(worker)
    assert_same(runs.root, calm)
    assert not runs.list_repeated()
    assert not list(runs.list_claims())
    assert not list(runs.files.list("workers"))


@pytest.mark.parametrize(("stage", "model"), [("sample", "policy"), ("repair", "repairer")])
def test_the_others_go_on_for_one_that_is_killed(runs: SharedRuns, stage: str, model: str) -> None:
    calm = runs.make_calm()
    with runs.hold(model):
        first = runs.start()
        wait_until(lambda: runs.has_shard(first, stage), lambda: first.poll() is None)
        second = runs.start()
        wait_until(lambda: runs.find_worker(second), lambda: second.poll() is None)
        kill(first)
    finish(second)
    assert_same(runs.root, calm)
    repeated = runs.list_repeated()
    assert len(repeated) <= 2, "only what was in flight is asked for again"


def test_a_kill_at_any_change_of_a_file_while_a_stage_is_closed_leaves_nothing(
    tmp_path: Path,
) -> None:
    runs = SharedRuns(tmp_path, {"prompts": {"shard_size": 4}, "sample": {"num_samples": 2}})
    calm = runs.make_calm("sample")
    runs.name = "open"
    finish(runs.start(command="sample", die_at="0"), -signal.SIGKILL)
    open_run = runs.root
    assert list((open_run / "journal").glob("sample-*/*.jsonl"))
    for number in count(1):
        runs.name = f"run-{number}"
        copytree(open_run, runs.root)
        worker = runs.start(command="sample", die_at=str(number))
        worker.communicate(timeout=300)
        if worker.returncode == 0:
            break
        assert worker.returncode == -signal.SIGKILL
        finish(runs.start(command="sample"))
        assert_same(runs.root, calm)
        assert not runs.list_claims()
    assert_same(runs.root, calm)
    assert number > 10, "it has more to change than that"


def test_what_one_who_was_frozen_began_after_the_end_goes_with_the_next(runs: SharedRuns) -> None:
    """It had made sure of its lease, froze, and woke up to write when nobody was there any more."""
    calm = runs.make_calm()
    finish(runs.start())
    folder = runs.root / "journal" / "sample-00000"
    folder.mkdir()
    (folder / "0001-0123456789ab.jsonl").write_text("")
    finish(runs.start())
    assert_same(runs.root, calm)
    assert not runs.list_claims()


def test_one_that_was_frozen_wakes_up_too_late(runs: SharedRuns) -> None:
    runs.lease_s = 4
    calm = runs.make_calm()
    with runs.hold():
        frozen = runs.start()
        wait_until(runs.count_asked, lambda: frozen.poll() is None)
        frozen.send_signal(signal.SIGSTOP)
    other = runs.start(pause="0.01")
    finish(other)
    assert_same(runs.root, calm)
    frozen.send_signal(signal.SIGCONT)
    said = finish(frozen, 1)
    assert "others have taken over its shards" in said
    assert_same(runs.root, calm)
    repeated = runs.list_repeated()
    assert len(repeated) <= 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_drains_and_frees_its_shards_at_once(
    runs: SharedRuns, number: signal.Signals
) -> None:
    runs.lease_s = 600
    calm = runs.make_calm()
    with runs.hold():
        first = runs.start(pause="0.1")
        wait_until(runs.count_asked, lambda: first.poll() is None)
        first.send_signal(number)
    assert "the same command goes on from there" in finish(first, 130)
    assert not runs.list_claims()
    finish(runs.start())
    assert_same(runs.root, calm)
    assert not runs.list_repeated()


def test_a_full_disk_stops_all_and_costs_nothing_but_what_is_in_flight(runs: SharedRuns) -> None:
    calm = runs.make_calm()
    with mount_disk(runs.folder / "disk", 4096) as disk:
        runs.name = "disk/run"
        (runs.folder / "hold").touch()
        workers = [runs.start() for _ in range(2)]
        wait_until(
            lambda: all(runs.has_shard(each) for each in workers),
            lambda: all(each.poll() is None for each in workers),
        )
        ballast = fill(disk, leave=0)
        (runs.folder / "hold").unlink()
        for worker in workers:
            said = finish(worker, 1)
            assert "disk is full" in said
            assert "same command again" in said
        ballast.unlink()
        finish(runs.start())
        assert_same(runs.root, calm)
        assert len(runs.list_repeated()) <= 2 * TOGETHER


def test_parts_need_no_waiting(runs: SharedRuns) -> None:
    calm = runs.make_calm()
    finish(runs.start("--shard", "1/2"))
    stages = json.loads((runs.root / "run.json").read_text())["stages"]
    assert stages["mask"]["state"] == "running"
    assert sorted(path.name for path in (runs.root / "masks").iterdir()) == [
        "part-00001.parquet",
        "part-00003.parquet",
    ]
    finish(runs.start("--shard", "0/2"))
    assert_same(runs.root, calm)
    assert not runs.list_repeated()


def test_sharing_and_having_it_alone_exclude_each_other(runs: SharedRuns) -> None:
    (runs.folder / "hold").touch()
    sharing = runs.start()
    wait_until(runs.count_asked, lambda: sharing.poll() is None)
    assert f"others share this run: pid {sharing.pid}" in finish(runs.start(shared=False), 1)
    kill(sharing)
    alone = runs.start(shared=False)
    wait_until((runs.root / "run.lock").exists, lambda: alone.poll() is None)
    wait_until(lambda: not (runs.root / "shared").exists(), lambda: alone.poll() is None)
    said = finish(runs.start(), 1)
    assert f"another process works on this run: pid {alone.pid}" in said
    (runs.folder / "hold").unlink()
    finish(alone)
    assert_same(runs.root, runs.make_calm())


def test_another_version_is_refused_with_both_named(runs: SharedRuns) -> None:
    (runs.folder / "hold").touch()
    first = runs.start()
    wait_until(runs.count_asked, lambda: first.poll() is None)
    said = finish(runs.start(version="9.9.9"), 1)
    assert "this is dfgen 9.9.9, and dfgen " in said
    assert f"pid {first.pid}" in said
    (runs.folder / "hold").unlink()
    finish(first)


def test_another_model_of_the_same_name_is_refused(runs: SharedRuns) -> None:
    """Although the first has not written anything yet."""
    (runs.folder / "hold").touch()
    first = runs.start()
    wait_until(runs.count_asked, lambda: first.poll() is None)
    said = finish(runs.start(model="two"), 1)
    assert "weights" in said
    (runs.folder / "hold").unlink()
    finish(first)


def test_an_end_in_the_middle_is_gone_on_with_by_one_alone(runs: SharedRuns) -> None:
    calm = runs.make_calm()
    with runs.hold():
        workers = [runs.start(pause="0.1") for _ in range(2)]
        wait_until(
            lambda: all(runs.has_shard(each) for each in workers),
            lambda: all(each.poll() is None for each in workers),
        )
    wait_until(lambda: len(runs.count_asked()) > 20)
    for worker in workers:
        kill(worker)
    finish(runs.start(shared=False))
    assert_same(runs.root, calm)
    repeated = runs.list_repeated()
    assert len(repeated) <= 4


@pytest.mark.parametrize("limit", [{"max_requests": 12}, {"max_cost_usd": 1.2}])
def test_limits_are_those_of_the_run(runs: SharedRuns, limit: dict[str, float]) -> None:
    """A request costs 10 cents; there would be some 40 of them."""
    (name, value), *_ = limit.items()
    runs.sections = {**runs.sections, "repair": limit}
    with runs.hold("repairer"):
        workers = [runs.start() for _ in range(3)]
        # Each has one of the four shards, and a request out.
        wait_until(
            lambda: runs.count_repairs() == len(workers),
            lambda: all(each.poll() is None for each in workers),
        )
        kill(workers[0])
    for worker in workers[1:]:
        assert f"stopped at its limit (repair.{name}={value}" in finish(worker, 1)
    spent = SpentCount().count(Run.open_or_create(runs.root, None))
    assert spent.requests == 12
    assert spent.cost_usd == pytest.approx(1.2)
    assert runs.count_repairs() <= 13, "more only by what was in flight when one was killed"
    said = finish(runs.start(), 1)
    assert "stopped at its limit" in said
