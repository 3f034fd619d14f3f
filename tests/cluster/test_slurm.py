"""A real Slurm of two nodes: nodes die, tasks are put back, cancelled, killed; nothing is lost."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.runs import COMMAND, ROOT, Hold, Job, check_run, list_owners
from tests.support.slurm import LocalSlurm, list_missing
from tests.support.waiting import wait_until

pytestmark = pytest.mark.cluster

SERVER = (sys.executable, "-m", "tests.support.served_model")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSlurm]:
    missing = list_missing()
    assert not missing, f"{missing} are missing: make cluster-env"
    with LocalSlurm(tmp_path_factory.mktemp("slurm") / "s") as slurm:
        yield slurm


class Launched:
    """`dfgen launch slurm` on a cluster that a test disturbs.

    Args:
        slurm: the cluster, with nothing to do.
    """

    def __init__(self, slurm: LocalSlurm, job: Job, root: Path, *options: str) -> None:
        self.slurm, self.root = slurm, root
        self.hold = Hold(root.with_name("hold"))
        words = ["launch", "slurm", str(job.pipeline), "--out", str(root), "--no-check"]
        words += ["--workers", "2", "--cpus-per-worker", "1", "--gpus-per-worker", "0"]
        words += ["--dfgen", shlex.join(COMMAND), *options]
        environment = {"QUICK_HOLD": str(self.hold.folder), "PYTHONPATH": str(ROOT)}
        folder = Path.cwd()
        os.chdir(ROOT)
        try:
            said = slurm.call(*COMMAND, *words, env=environment)
        finally:
            os.chdir(folder)
        self.ids = dict(line.split("\t") for line in said.splitlines())

    def list_nodes(self, stage: str) -> dict[str, str]:
        """The nodes of a stage's running tasks, by the ids of the tasks."""
        prefix = f"{self.ids[stage]}_"
        jobs = self.slurm.list_jobs().items()
        return {
            name: n for name, (state, n) in jobs if name.startswith(prefix) and state == "RUNNING"
        }

    def count(self, table: str) -> int:
        """Finished shards of a table."""
        return len(list((self.root / table).glob("*.parquet")))

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait for something that must come while jobs are left."""
        wait_until(condition, self.slurm.list_jobs)

    def wait_until_both_work(self, stage: str) -> dict[str, str]:
        """Wait until both tasks of a stage have shards in hand; returns their nodes."""
        self.wait_for(lambda: len(list_owners(self.root, stage)) == 2)
        nodes = self.list_nodes(stage)
        assert len(nodes) == 2, nodes
        return nodes

    def end(self) -> None:
        """Wait until no job is left."""
        wait_until(lambda: not self.slurm.list_jobs())

    def read_logs(self) -> str:
        """All that jobs have said."""
        logs = sorted((self.root / "launch").rglob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text('utf-8')}" for path in logs)


def test_a_node_dies_a_task_is_requeued_and_one_is_killed(
    slurm: LocalSlurm, served_job: Job, tmp_path: Path
) -> None:
    """With a repairer that Slurm serves; the path of the run has signs that shells obey."""
    root = tmp_path / "odd 'run' \"x\" #1 %j $HOME"
    server = ("--serve-repairer", "--gpus-per-server", "0", "--server-command", shlex.join(SERVER))
    launched = Launched(slurm, served_job, root, *server)
    nodes = launched.wait_until_both_work("sample")
    launched.wait_for(lambda: launched.count("trajectories") > 0)
    lost = next(task for task, node in nodes.items() if node == "b")
    slurm.kill_node("b")
    launched.wait_for(lambda: slurm.read_state("b").startswith("down"))
    slurm.start_node("b")
    launched.hold.release("sample")
    requeued = next(iter(launched.wait_until_both_work("repair")))
    slurm.call("scontrol", "requeue", requeued)
    launched.hold.release("repair")
    killed = next(iter(launched.wait_until_both_work("score")))
    slurm.call("scancel", "--signal=KILL", "--full", killed)
    slurm.kill_task(killed)  # and not in the seconds in which Slurm lets it drain
    launched.hold.release("score")
    launched.end()
    logs = launched.read_logs()
    print(logs)
    assert slurm.count_restarts(lost) == slurm.count_restarts(requeued) == 1
    assert slurm.read_job_state(killed) in ("FAILED", "CANCELLED")
    check_run(root, served_job)
    assert not list((root / "launch").rglob("server-*.json")), "the server's address is left behind"


def test_a_node_that_the_controller_has_lost_works_on(
    slurm: LocalSlurm, local_job: Job, tmp_path: Path
) -> None:
    """Its task is started anew elsewhere, so two processes do the work of one; nothing is twice."""
    launched = Launched(slurm, local_job, tmp_path / "run")
    nodes = launched.wait_until_both_work("sample")
    known = list_owners(launched.root, "sample")
    lost = next(task for task, node in nodes.items() if node == "b")
    before = slurm.list_pids("b")
    slurm.kill_daemon("b")
    slurm.call("scontrol", "update", "nodename=b", "state=down", "reason=lost")
    try:
        launched.wait_for(lambda: list_owners(launched.root, "sample") - known)
        assert slurm.count_restarts(lost) == 1
        launched.hold.release()
        launched.end()
    finally:
        for pid in set(slurm.list_pids("b")) & set(before):
            os.kill(pid, signal.SIGKILL)
        slurm.start_node("b")
        wait_until(lambda: slurm.read_state("b") == "idle")
    print(launched.read_logs())
    check_run(tmp_path / "run", local_job)
