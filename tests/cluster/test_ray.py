"""A real Ray of two nodes on this machine: an actor is killed, a node goes, the driver stops."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.runs import COMMAND, ROOT, Job, check_run
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]
ray = pytest.importorskip("ray")

NODE = {"object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head node without cores for workers."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head = {"num_cpus": 0, "include_dashboard": False, **NODE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster
    cluster.shutdown()


def add_node(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=1, **NODE)


class Launched:
    """`dfgen launch ray`, as a user starts it."""

    def __init__(self, cluster: Any, job: Job, root: Path, **variables: str) -> None:
        self.root = root
        words = ["launch", "ray", str(job.pipeline), "--out", str(root), "--workers", "2"]
        words += ["--cpus-per-worker", "1", "--gpus-per-worker", "0", "--lease", "4"]
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

    def is_running(self) -> bool:
        return self.process.poll() is None

    def count_files(self, table: str) -> int:
        """Finished shards of a table."""
        return len(list((self.root / table).glob("*.parquet")))

    def wait_for(self, table: str, files: int = 1) -> None:
        """Wait until a table has shards."""
        wait_until(lambda: self.count_files(table) >= files, self.is_running)

    def end(self) -> tuple[int, str]:
        """Wait for the end; returns the exit code and what was said."""
        self.process.wait(300)
        return self.process.returncode, self.log.read_text("utf-8")


def list_workers(root: Path) -> dict[int, int]:
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
    nodes = [add_node(cluster), add_node(cluster)]
    launched = Launched(cluster, local_job, tmp_path / "run", QUICK_SECONDS="0.15")
    try:
        launched.wait_for("trajectories")
        worker, actor = next(iter(list_workers(launched.root).items()))
        os.kill(actor, signal.SIGKILL)
        # What it was working on ends with it, without a signal of ours.
        wait_until(lambda: worker not in list_workers(launched.root))
        launched.wait_for("repairs")
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        launched.wait_for("scores")
        nodes.append(add_node(cluster))
        code, said = launched.end()
    finally:
        launched.process.kill()
        launched.process.wait()
        print(launched.log.read_text("utf-8"))
        for node in nodes:
            cluster.remove_node(node)
    assert code == 0, said
    assert "a worker is gone" in said
    check_run(launched.root, local_job)
    assert list_workers(launched.root) == {}


@pytest.mark.slow
def test_a_stop_is_handed_on_and_the_same_command_goes_on(
    cluster: Any, local_job: Job, tmp_path: Path
) -> None:
    node = add_node(cluster)
    add = add_node(cluster)
    try:
        launched = Launched(cluster, local_job, tmp_path / "run", QUICK_SECONDS="0.15")
        launched.wait_for("trajectories")
        launched.process.send_signal(signal.SIGTERM)
        code, said = launched.end()
        assert code == 130, said
        assert "the same command goes on" in said
        assert list_workers(launched.root) == {}
        assert launched.count_files("masks") == 0
        code, said = Launched(cluster, local_job, tmp_path / "run").end()
        assert code == 0, said
    finally:
        cluster.remove_node(node)
        cluster.remove_node(add)
    check_run(tmp_path / "run", local_job)
