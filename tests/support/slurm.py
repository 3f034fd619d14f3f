"""A real Slurm on this machine: one controller, two nodes, one file system.

    with LocalSlurm(tmp_path / "slurm") as slurm:
        slurm.call("sbatch", "--wrap", "hostname")
        slurm.kill_node("a")

Tasks go to the node that has the least to do. The daemons are children of the test and are ended by
their ids, as is whatever jobs leave behind: every process of this Slurm carries the path of its own
configuration in its environment. Nodes are found lost, and jobs started again, after seconds
instead of minutes.
"""

from __future__ import annotations

import getpass
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.loopback import find_closed_port
from tests.support.waiting import wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "squeue", "sinfo")
NODES = ("a", "b")
LOOK_S = 0.25
"""Between two looks at what only a client of Slurm can tell."""

# cred_expire is how soon a node must begin a job that it is given, and how long a job that is put
# back into the queue waits for its next start. What has ended is asked about until the tests end.
_CONFIGURATION = """
ClusterName=dfgen
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=15
CryptoType=crypto/munge
SlurmUser={user}
SlurmdUser={user}
SlurmctldLogFile={folder}/controller.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
SlurmdTimeout=30
SlurmctldTimeout=30
KillWait=5
MinJobAge=86400
MessageTimeout=60
ReturnToService=2
JobRequeue=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
{nodes}
PartitionName=main Nodes={names} Default=YES State=UP LLN=YES
"""


def list_missing() -> list[str]:
    """The programs of Slurm that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name, path=_search_path()) is None]


class LocalSlurm:
    """A Slurm of its own, while entered.

    Args:
        folder: for its configuration, logs and state; the path may hold no blanks.
        cpus: cores of each node, in the eyes of Slurm.
    """

    def __init__(self, folder: Path, cpus: int = 2) -> None:
        self.folder = folder
        self._cpus = cpus
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not _is_of_slurm(name)},
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": _search_path(),
        }

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        self._write_configuration()
        try:
            self._start(
                "munged",
                *("--foreground", "--force", "--num-threads=2"),
                f"--key-file={self.folder / 'munge.key'}",
                f"--socket={self.folder / 'munge.socket'}",
                f"--pid-file={self.folder / 'munge.pid'}",
                f"--seed-file={self.folder / 'munge.seed'}",
                f"--log-file={self.folder / 'munge.log'}",
            )
            wait_until((self.folder / "munge.socket").exists, self._alive("munged"))
            self._start("slurmctld", "-D", "-c")
            for name in NODES:
                self.start_node(name)
            for name in NODES:
                wait_until(partial(self._is_idle, name), self._alive(name), LOOK_S)
        except BaseException:
            self._end()
            for log in sorted(self.folder.glob("*.log")):
                print(f"== {log.name}\n{log.read_text('utf-8', 'replace')}")
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def call(self, *command: str, env: Mapping[str, str] | None = None) -> str:
        """Run a client of Slurm, or anything that calls one; returns what it printed."""
        result = subprocess.run(
            list(command),
            env={**self.environment, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return result.stdout

    def list_jobs(self) -> dict[str, tuple[str, str]]:
        """The state and node of every job and array task that has not ended, by its id."""
        jobs = {}
        for line in self.call("squeue", "-h", "-r", "-o", "%i|%T|%N").splitlines():
            name, state, node = line.split("|")
            jobs[name] = (state, node)
        return jobs

    def read_state(self, node: str) -> str:
        """What the controller takes a node for: idle, allocated, mixed, down, ..."""
        try:
            found = self.call("sinfo", "-h", "-N", "-n", node, "-o", "%T")
        except AssertionError:  # the controller does not answer yet
            return ""
        return found.strip()

    def start_node(self, name: str) -> None:
        """Start a node that is not there, or is there no more."""
        self._start(name, "-D", "-N", name, program="slurmd")

    def read_log(self) -> str:
        """What the controller has done, and when."""
        return (self.folder / "controller.log").read_text("utf-8", "replace")

    def cancel_all(self) -> None:
        """Have no job left, in whatever state they are."""
        self.call("scancel", "--user", getpass.getuser())
        wait_until(lambda: not self.list_jobs(), look_s=LOOK_S)

    def kill_daemon(self, node: str) -> None:
        """Kill a node's slurmd alone: the controller loses the node, and its jobs go on there."""
        daemon = self._daemons.pop(node)
        daemon.kill()
        daemon.wait()

    def kill_node(self, node: str) -> None:
        """Kill all that runs on a node at once, as a power cut does."""
        self.kill_daemon(node)
        pids = self.list_pids(node)
        # Their shepherds first, who would tell the controller how they ended.
        shepherds = {_find_parent(pid) for pid in pids} & set(self.list_pids()) - set(pids)
        for pid in (*shepherds, *pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_task(self, task: str) -> None:
        """Kill -9 the processes of a running task of an array, named JOB_TASK."""
        job, _, number = task.partition("_")
        wanted = {f"SLURM_ARRAY_JOB_ID={job}", f"SLURM_ARRAY_TASK_ID={number}"}
        ours = set(self.list_pids())
        for pid, variables in _list_environments():
            if pid in ours and wanted <= variables:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def count_restarts(self, task: str) -> int:
        """How often a task has been put back into the queue."""
        return int(self._read_job(task, "Restarts"))

    def read_job_state(self, task: str) -> str:
        """RUNNING, COMPLETED, FAILED, ..., after its end, too."""
        return self._read_job(task, "JobState")

    def _read_job(self, task: str, name: str) -> str:
        found = re.search(rf"{name}=(\w+)", self.call("scontrol", "show", "job", task))
        assert found, task
        return found[1]

    def list_pids(self, node: str | None = None) -> list[int]:
        """The processes of jobs and their shepherds, of one node or of all."""
        ours = f"SLURM_CONF={self.folder}/slurm.conf"
        daemons = {daemon.pid for daemon in self._daemons.values()}
        found = []
        for pid, variables in _list_environments():
            if ours not in variables or pid in daemons or pid == os.getpid():
                continue
            on = next((v for v in variables if v.startswith("SLURMD_NODENAME=")), None)
            if node is None or on == f"SLURMD_NODENAME={node}":
                found.append(pid)
        return found

    def _start(self, name: str, *arguments: str, program: str | None = None) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                [program or name, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _is_idle(self, node: str) -> bool:
        return self.read_state(node) == "idle"

    def _alive(self, name: str) -> Callable[[], bool]:
        return lambda: self._daemons[name].poll() is None

    def _end(self) -> None:
        for daemon in reversed(list(self._daemons.values())):
            daemon.terminate()
        for daemon in self._daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()
        for pid in self.list_pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _write_configuration(self) -> None:
        ports = [find_closed_port() for _ in range(1 + len(NODES))]
        host = socket.gethostname()
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} "
            f"CPUs={self._cpus} RealMemory=4000"
            for name, port in zip(NODES, ports[1:], strict=True)
        )
        text = _CONFIGURATION.format(
            host=host,
            controller=ports[0],
            folder=self.folder,
            user=getpass.getuser(),
            nodes=nodes,
            names=",".join(NODES),
        )
        (self.folder / "slurm.conf").write_text(text, "utf-8")
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        (self.folder / "state").mkdir()
        for name in NODES:
            (self.folder / f"spool.{name}").mkdir()


def _search_path() -> str:
    """PATH with the folders for daemons, which a user's own may lack."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def _is_of_slurm(name: str) -> bool:
    return name.startswith(("SLURM", "SBATCH", "SALLOC", "SRUN", "SQUEUE", "SINFO"))


def _find_parent(pid: int) -> int:
    """The parent of a process; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _list_environments() -> Iterator[tuple[int, set[str]]]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            variables = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended, or is another user's
            continue
        yield int(folder.name), set(variables)
