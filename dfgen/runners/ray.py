"""Hands the stages of a run to actors of Ray, each of which keeps one worker process at work.

Ray places the actors and says when one is gone; who does which shard the workers settle among
themselves, through the run directory. So an actor that dies takes nothing with it, and the one that
comes in its place needs to know nothing. Ray Data is not used: one dead engine ends its whole job.

https://docs.ray.io/en/latest/ray-core/fault_tolerance/actors.html
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dfgen.errors import LaunchError, MissingExtraError
from dfgen.runners.launching import Resources, StageTask
from dfgen.stages.stopping import StopSignal
from dfgen.store.layout import Stage

HANDED_ON = ("DFGEN_", "OPENAI_", "HF_", "AWS_", "GOOGLE_", "AZURE_")
"""What variables of the environment begin with that workers are given, besides keys."""

LIVES = 5
"""Workers that a stage may lose, for each that it has, until one of its shards is finished."""

_STOPPED = 130
_LOOK_S = 1.0
_DRAIN_S = 600.0
_SHOWN = 20


@dataclass(frozen=True)
class RayOptions:
    """How workers are started.

    Attributes:
        dfgen: words by which a node calls dfgen; None: the Python of the actor.
        source: words that name the run and its settings.
        directory: the current folder of the workers.
        resources: of each worker.
        address: of the cluster, as `ray.init` takes it.
        variables: of the environment, for the workers.
        lease_s: see `dfgen.runners.slurm.SlurmOptions`.
    """

    dfgen: tuple[str, ...] | None
    source: tuple[str, ...]
    directory: Path
    resources: Resources
    address: str = "auto"
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    lease_s: float | None = None


class Worker:
    """What an actor is: it keeps a worker process, whose standard input ends when it dies."""

    def __init__(self, directory: str, variables: Mapping[str, str]) -> None:
        self._directory = directory
        self._variables = dict(variables)
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def work(self, words: Sequence[str] | None, rest: Sequence[str]) -> tuple[int, str]:
        """Run a worker to its end.

        Args:
            words: by which dfgen is called; None: this Python.
            rest: the words after that.

        Returns:
            Its exit code and the last that it said.
        """
        command = [*(words or (sys.executable, "-m", "dfgen")), *rest]
        process = subprocess.Popen(
            command,
            cwd=self._directory,
            env={**os.environ, **self._variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._process = process
        if self._stopped:
            process.terminate()
        said: deque[str] = deque(maxlen=_SHOWN)
        assert process.stderr is not None
        for line in process.stderr:
            sys.stderr.write(line)  # into Ray's logs
            said.append(line)
        return process.wait(), "".join(said)

    def stop(self) -> None:
        """Ask the worker to finish what is in flight and end."""
        self._stopped = True
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)


def collect_variables(names: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Choose the variables of the environment that workers are given.

    Args:
        names: of keys and whatever else the user wants handed on.
    """
    return {
        name: value
        for name, value in environment.items()
        if name in names or name.startswith(HANDED_ON)
    }


def run_on_ray(
    tasks: Sequence[StageTask],
    options: RayOptions,
    count_finished: Callable[[Stage], int],
    tell: Callable[[str], None],
    stop: StopSignal,
) -> bool:
    """Run stages one after the other on a cluster; returns False when a stop was asked for.

    Args:
        tasks: the stages with their workers.
        options: how workers are started.
        count_finished: the shards of a stage that are finished.
        tell: called with what a person should know.
        stop: entered by the caller, once Ray has set its own handlers of signals.

    Raises:
        LaunchError: there is no such cluster, or workers of a stage keep dying.
        MissingExtraError: Ray is not installed.
    """
    for task in tasks:
        crew = Crew(task, options, partial(count_finished, task.stage), tell)
        tell(f"{task.stage}: {task.workers} workers")
        if not crew.run(stop):
            return False
    return True


def connect(address: str) -> None:
    """Connect to a cluster of Ray; `disconnect` ends that, and the actors with it.

    Raises:
        LaunchError: there is none.
        MissingExtraError: Ray is not installed.
    """
    # Ray asks about usage statistics, and sends them, unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = _import_ray()
    try:
        ray.init(address=address, log_to_driver=False, logging_level="warning")
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise LaunchError(
            f"there is no Ray cluster at {address}: {error}",
            hint="`ray start --head` starts one here; --address HOST:6379 names another.",
        ) from None


def disconnect() -> None:
    """Leave the cluster."""
    _import_ray().shutdown()


class Crew:
    """The workers of one stage.

    Args:
        task: the stage.
        options: how workers are started.
        count_finished: the shards that are finished.
        tell: called with what a person should know.
    """

    def __init__(
        self,
        task: StageTask,
        options: RayOptions,
        count_finished: Callable[[], int],
        tell: Callable[[str], None],
    ) -> None:
        self._ray = _import_ray()
        self._task = task
        self._options = options
        self._count_finished = count_finished
        self._tell = tell
        self._at_work: dict[Any, Any] = {}
        self._lost = 0
        self._finished = -1

    def run(self, stop: StopSignal) -> bool:
        """Keep the workers at work until the stage is done; False when a stop was asked for."""
        for _ in range(self._task.workers):
            self._start()
        try:
            while not self._look():
                if stop.requested:
                    self._drain()
                    return False
            self._let_go()
        finally:
            for actor in self._at_work.values():
                self._ray.kill(actor)
        return True

    def _start(self) -> None:
        resources = self._options.resources
        actor = (
            self._ray.remote(Worker)
            .options(
                num_cpus=resources.cpus,
                num_gpus=self._task.gpus,
                max_restarts=0,  # who comes in its place is counted here
                max_concurrency=2,  # `stop` is heard while `work` is at work
                scheduling_strategy="SPREAD",
            )
            .remote(str(self._options.directory), self._options.variables)
        )
        rest = ["launch", "worker", self._task.stage, *self._options.source]
        rest += ["--shared", "--until-eof"]
        if self._options.lease_s is not None:
            rest += ["--lease", f"{self._options.lease_s:g}"]
        self._at_work[actor.work.remote(self._options.dfgen, rest)] = actor

    def _look(self) -> bool:
        """Wait a moment, replace those who are gone; says whether one has found nothing to do."""
        ready, _ = self._ray.wait(list(self._at_work), num_returns=1, timeout=_LOOK_S)
        for each in ready:
            actor = self._at_work.pop(each)
            try:
                code, said = self._ray.get(each)
            except self._ray.exceptions.RayError as error:
                # One that only cannot be reached at the moment would keep its GPUs, unheard of.
                self._ray.kill(actor)
                self._replace(f"a worker is gone: {str(error).splitlines()[0]}", "")
                continue
            self._ray.kill(actor)
            if code == 0:
                return True
            what = "was stopped" if code == _STOPPED else f"ended with exit code {code}"
            self._replace(f"a worker {what}", said)
        return False

    def _replace(self, why: str, said: str) -> None:
        """Start another worker, unless they only die.

        Raises:
            LaunchError: too many have died without a finished shard.
        """
        finished = self._count_finished()
        if finished != self._finished:
            self._finished, self._lost = finished, 0
        self._lost += 1
        self._tell(f"{self._task.stage}: {why}")
        if self._lost > LIVES * self._task.workers:
            raise LaunchError(
                f"{self._lost} workers of the stage {self._task.stage} were lost without a shard "
                f"being finished. The last: {why}.\n{said}".rstrip(),
                hint="What is finished is on disk. Put that right and give the same command again.",
            )
        self._start()

    def _let_go(self) -> None:
        """Wait for the others, who find nothing to do either; not for those who never began."""
        grace = self._options.lease_s or 60.0
        if self._at_work:
            self._ray.wait(list(self._at_work), num_returns=len(self._at_work), timeout=grace)

    def _drain(self) -> None:
        """Have all workers finish what is in flight."""
        for actor in self._at_work.values():
            actor.stop.remote()
        if self._at_work:
            self._ray.wait(list(self._at_work), num_returns=len(self._at_work), timeout=_DRAIN_S)


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise MissingExtraError("ray", "ray") from None
    return ray
