"""A real Slurm of two nodes: nodes die, tasks are put back, cancelled, killed; nothing is lost."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from dfgen.store.run import Run
from dfgen.validate.audit import audit
from tests.cluster.runs import COMMAND, ROOT, Hold, Job, check_run, list_owners, write_pipeline
from tests.support import served_model
from tests.support.slurm import LOOK_S, LocalSlurm, list_missing
from tests.support.waiting import wait_until

pytestmark = pytest.mark.cluster

SERVER = (sys.executable, "-m", "tests.support.served_model")
VLLM = ROOT / ".venv-vllm" / "bin" / "vllm"
REPAIRER = ROOT / "dfgen" / "demo" / "models" / "repairer"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSlurm]:
    if missing := list_missing():
        pytest.skip(f"no {', '.join(missing)} here (make cluster-env, as root, installs Slurm)")
    with LocalSlurm(tmp_path_factory.mktemp("slurm") / "s") as slurm:
        yield slurm


class Launched:
    """`dfgen launch slurm` on a cluster that a test disturbs.

    Args:
        slurm: the cluster, with nothing to do.
    """

    def __init__(self, slurm: LocalSlurm, pipeline: Path, root: Path, *options: str) -> None:
        self.slurm, self.root = slurm, root
        self.hold = Hold(root.with_name("hold"))
        words = ["launch", "slurm", str(pipeline), "--out", str(root), "--no-check"]
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        print(self.read_logs())
        if error is not None:  # the next test is to find a cluster with nothing to do
            self.slurm.cancel_all()

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
        wait_until(condition, self.slurm.list_jobs, LOOK_S)

    def wait_until_both_work(self, stage: str) -> dict[str, str]:
        """Wait until both tasks of a stage have shards in hand; returns their nodes."""
        self.wait_for(lambda: len(list_owners(self.root, stage)) == 2)
        self.wait_for(lambda: len(self.list_nodes(stage)) == 2)
        return self.list_nodes(stage)

    def end(self) -> None:
        """Wait until no job is left."""
        wait_until(lambda: not self.slurm.list_jobs(), look_s=LOOK_S)

    def read_logs(self) -> str:
        """All that jobs and the controller have said."""
        logs = sorted((self.root / "launch").rglob("*.log"))
        said = [f"== {path.name}\n{path.read_text('utf-8')}" for path in logs]
        return "\n".join([*said, "== controller", self.slurm.read_log()])


def test_a_node_dies_a_task_is_requeued_and_one_is_killed(
    slurm: LocalSlurm, served_job: Job, tmp_path: Path
) -> None:
    """With a repairer that Slurm serves; the path of the run has signs that shells obey."""
    root = tmp_path / "odd 'run' \"x\" #1 %j $HOME"
    server = ("--serve-repairer", "--gpus-per-server", "0", "--server-command", shlex.join(SERVER))
    with Launched(slurm, served_job.pipeline, root, *server) as launched:
        nodes = launched.wait_until_both_work("sample")
        launched.wait_for(lambda: launched.count("trajectories") > 0)
        lost, node = next(iter(nodes.items()))
        slurm.kill_node(node)
        launched.wait_for(lambda: slurm.read_state(node).startswith("down"))
        slurm.start_node(node)
        launched.hold.release("sample")
        requeued = next(iter(launched.wait_until_both_work("repair")))
        slurm.call("scontrol", "requeue", requeued)
        launched.hold.release("repair")
        killed = next(iter(launched.wait_until_both_work("score")))
        slurm.call("scancel", "--signal=KILL", "--full", killed)
        slurm.kill_task(killed)  # and not in the seconds in which Slurm lets it drain
        launched.hold.release("score")
        launched.end()
        assert slurm.count_restarts(lost)
        assert slurm.count_restarts(requeued)
        assert slurm.read_job_state(killed) in ("FAILED", "CANCELLED")
    check_run(root, served_job)
    assert not list((root / "launch").rglob("server-*.json")), "the server's address is left behind"


def test_a_node_that_the_controller_has_lost_works_on(
    slurm: LocalSlurm, local_job: Job, tmp_path: Path
) -> None:
    """Its task is started anew elsewhere, so two processes do the work of one; nothing is twice."""
    with Launched(slurm, local_job.pipeline, tmp_path / "run") as launched:
        nodes = launched.wait_until_both_work("sample")
        known = list_owners(launched.root, "sample")
        lost, node = next(iter(nodes.items()))
        before = slurm.list_pids(node)
        slurm.kill_daemon(node)
        slurm.call("scontrol", "update", f"nodename={node}", "state=down", "reason=lost")
        try:
            launched.wait_for(lambda: list_owners(launched.root, "sample") - known)
            assert slurm.count_restarts(lost)
            launched.hold.release()
            launched.end()
        finally:
            for pid in set(slurm.list_pids(node)) & set(before):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            slurm.start_node(node)
            wait_until(lambda: slurm.read_state(node) == "idle", look_s=LOOK_S)
    check_run(tmp_path / "run", local_job)


@pytest.mark.slow
def test_a_real_vllm_serves_the_repairer_and_is_ended(slurm: LocalSlurm, tmp_path: Path) -> None:
    """Small and without pictures, it repairs nothing: here it counts that it is asked."""
    if not VLLM.exists():
        pytest.skip("vLLM is not here (make vllm-env installs it)")
    command = [
        "env",
        "VLLM_CPU_KVCACHE_SPACE=1",
        "TORCHDYNAMO_DISABLE=1",
        str(VLLM),
        "serve",
        str(REPAIRER),
        "--served-model-name",
        served_model.MODEL,
    ]
    command += ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", "8"]
    options = ["--serve-repairer", "--gpus-per-server", "0"]
    options += ["--server-command", shlex.join(command)]
    options += ["--set", "repair.decoding.max_tokens=64", "--set", "max_reject_ratio=1"]
    pipeline = write_pipeline(tmp_path, 4, served=True)
    with Launched(slurm, pipeline, tmp_path / "run", *options) as launched:
        launched.hold.release()
        launched.end()
        assert slurm.list_pids() == [], "the server outlives its job"
    run = Run.open_or_create(tmp_path / "run", None)
    assert audit(run) == []
    assert all(run.manifest.get_stage(stage).state == "done" for stage in run.stages)
    attempts = [row for row in run.table("repairs").iter_rows() if row["attempts"]]
    assert attempts, "it was never asked"
    assert not list((tmp_path / "run" / "launch").rglob("server-*.json"))
