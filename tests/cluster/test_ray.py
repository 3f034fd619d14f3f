"""A real Ray of two nodes on this machine: an actor is killed, a node goes, the driver stops."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from dfgen.store.layout import TABLES
from tests.cluster.runs import COMMAND, ROOT, Hold, Job, check_run, list_owners
from tests.support.bucket_runs import hash_objects, open_bucket
from tests.support.scripted_runs import hash_tables
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]
ray = pytest.importorskip("ray", reason="make cluster-env installs it")

NODE = {"object_store_memory": 80 * 2**20}
PATIENCE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_gcs_server_port_wait_time_s": "300",
    "RAY_health_check_timeout_ms": "300000",  # a killed node's connection breaks at once
    "RAY_memory_monitor_refresh_ms": "0",  # it kills workers where neighbours fill the memory
}
"""So that on a busy machine Ray does not take for dead what has not had its turn yet."""
TRIES = 5
"""To start a node, each of which Ray ends after half a minute."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head node without cores for workers."""
    from ray.cluster_utils import Cluster

    # Not where other clusters of this machine have theirs, and short: Ray's sockets lie there.
    folder = tempfile.TemporaryDirectory(prefix="dfgen-ray-", ignore_cleanup_errors=True)
    with folder, pytest.MonkeyPatch.context() as patch:
        for name, value in PATIENCE.items():
            patch.setenv(name, value)
        # Ray writes the address of the cluster there, whatever `temp_dir` says.
        patch.setenv("RAY_TMPDIR", folder.name)
        own_folder = Path(folder.name, "ray")
        own_folder.mkdir()
        cluster = Cluster()
        try:
            # Its agent's port is a fixed one unless another is asked for.
            own = {"temp_dir": str(own_folder), "dashboard_agent_listen_port": 0}
            start_node(cluster, num_cpus=0, include_dashboard=False, **own)
            yield cluster
        finally:
            cluster.shutdown()
    # What Ray left of starts that failed warns as it goes: here, not in a neighbour's test.
    gc.collect()


def start_node(cluster: Any, **settings: Any) -> Any:
    """Add a node to the cluster: the first is its head."""
    hear = signal.getsignal(signal.SIGTERM)
    try:
        for tries_left in reversed(range(TRIES)):
            try:
                return cluster.add_node(wait=False, **settings, **NODE)
            except Exception as error:  # "The current node timed out during startup" is no other
                if not tries_left or "timed out" not in str(error):
                    raise
                end_late_node(error)
    finally:
        signal.signal(signal.SIGTERM, hear)  # Ray's own handler would only fail the test
    raise AssertionError


def end_late_node(error: Exception) -> None:
    """End the processes of a node that Ray gave up: they would join the cluster after all."""
    from ray._private.node import Node

    for frame, _ in traceback.walk_tb(error.__traceback__):
        node = frame.f_locals.get("self")
        if isinstance(node, Node):
            node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
            return


@contextmanager
def add_nodes(cluster: Any) -> Iterator[list[Any]]:
    """Add two nodes of one core each; those that are in the list at the end are removed."""
    nodes = [start_node(cluster, num_cpus=1) for _ in range(2)]
    try:
        yield nodes
    finally:
        for node in nodes:
            cluster.remove_node(node)


class Launched:
    """`dfgen launch ray`, as a user starts it; ended with the block, if it has not ended.

    Args:
        address: of a run in a bucket; None: it is the one at `root`.
    """

    def __init__(
        self, cluster: Any, job: Job, root: Path, hold: Hold, address: str | None = None
    ) -> None:
        self.root = root
        variables = {"QUICK_HOLD": str(hold.folder)}
        words = ["launch", "ray", str(job.pipeline), "--out", address or str(root)]
        words += ["--workers", "2", "--cpus-per-worker", "1", "--gpus-per-worker", "0"]
        words += ["--address", cluster.address, "--dfgen", " ".join(COMMAND), "--no-check"]
        names = [word for name in variables for word in ("--env", name)]
        self.log = root.with_name("ray.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *words, *names],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        print(self.log.read_text("utf-8"))

    def is_running(self) -> bool:
        return self.process.poll() is None

    def count_files(self, table: str) -> int:
        """Finished shards of a table."""
        return len(list((self.root / table).glob("*.parquet")))

    def wait_until_both_work(self, stage: str) -> set[str]:
        """Wait until two workers have shards of a stage in hand; returns their tokens."""
        wait_until(lambda: len(list_owners(self.root, stage)) == 2, self.is_running)
        return list_owners(self.root, stage)

    def wait_for_another(self, stage: str, known: set[str]) -> None:
        """Wait until a worker has shards of a stage in hand that is not among those known."""
        wait_until(lambda: list_owners(self.root, stage) - known, self.is_running)

    def end(self) -> tuple[int, str]:
        """Wait for the end; returns the exit code and what was said."""
        self.process.wait(300)
        return self.process.returncode, self.log.read_text("utf-8")


def list_workers(root: Path | str) -> dict[int, int]:
    """The worker processes of a run with the actors that started them."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if "worker" in words and str(root) in words and "--until-eof" in words:
            found[int(folder.name)] = parent
    return found


def test_an_actor_and_a_node_are_lost(cluster: Any, local_job: Job, tmp_path: Path) -> None:
    hold = Hold(tmp_path / "hold")
    with (
        add_nodes(cluster) as nodes,
        Launched(cluster, local_job, tmp_path / "run", hold) as launched,
    ):
        known = launched.wait_until_both_work("sample")
        worker, actor = next(iter(list_workers(launched.root).items()))
        os.kill(actor, signal.SIGKILL)
        launched.wait_for_another("sample", known)
        hold.release("sample")
        # What it was working on ends with it, without a signal of ours.
        wait_until(lambda: worker not in list_workers(launched.root))
        launched.wait_until_both_work("repair")
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        hold.release("repair")
        launched.wait_for_another("score", set())
        nodes.append(start_node(cluster, num_cpus=1))
        launched.wait_until_both_work("score")
        hold.release("score")
        code, said = launched.end()
    assert code == 0, said
    assert "a worker is gone" in said
    check_run(launched.root, local_job)
    assert list_workers(launched.root) == {}


@pytest.mark.slow
def test_a_stop_is_handed_on_and_the_same_command_goes_on(
    cluster: Any, local_job: Job, tmp_path: Path
) -> None:
    hold, root = Hold(tmp_path / "hold"), tmp_path / "run"
    with add_nodes(cluster):
        with Launched(cluster, local_job, root, hold) as launched:
            launched.wait_until_both_work("sample")
            launched.process.send_signal(signal.SIGTERM)
            hold.release()
            code, said = launched.end()
        assert code == 130, said
        assert "the same command goes on" in said
        assert list_workers(root) == {}
        assert launched.count_files("masks") == 0
        with Launched(cluster, local_job, root, hold) as launched:
            code, said = launched.end()
        assert code == 0, said
    check_run(root, local_job)


def test_a_run_in_a_bucket(cluster: Any, bucket: str, local_job: Job, tmp_path: Path) -> None:
    """An actor is killed; the launcher sees in the bucket alone what the workers have done."""
    address = f"{bucket}/run"
    hold, objects = Hold(tmp_path / "hold"), open_bucket(address)
    with (
        add_nodes(cluster),
        Launched(cluster, local_job, tmp_path / "none", hold, address) as launched,
    ):
        wait_until(lambda: list(objects.list("trajectories/")), launched.is_running)
        wait_until(lambda: len(list_workers(address)) == 2, launched.is_running)
        worker, actor = next(iter(list_workers(address).items()))
        os.kill(actor, signal.SIGKILL)
        hold.release()
        wait_until(lambda: worker not in list_workers(address))
        code, said = launched.end()
    assert code == 0, said
    assert "a worker is gone" in said
    assert str(tmp_path / "here") not in said
    # What the workers have done, not what the launcher knew when it began.
    assert re.search(r"mask\W+80\W+80\W", said)
    tables = [*TABLES, "rejects"]
    calm = hash_tables(local_job.pipeline.parent / "calm", tables)
    assert hash_objects(address, tables) == calm
    assert list_workers(address) == {}
