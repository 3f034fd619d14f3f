"""Hands the stages of a run to Slurm: a job array for each, one after the other.

A stage starts when the one before it has ended, however its tasks ended (`afterany`): what counts
is the run directory, where each worker looks before it begins. With `afterok` one cancelled task
would stop a run whose other workers have long done its share.

https://slurm.schedmd.com/sbatch.html
"""

from __future__ import annotations

import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dfgen.errors import LaunchError
from dfgen.runners.launching import Resources, StageTask
from dfgen.runners.slurm_script import GRACE_S, write_log_path, write_script
from dfgen.store.os_errors import explain_os_errors

SERVER = "server"
"""Name of the job that serves the repairer."""

KEY_FILE = "server.key"
"""In the folder of a launch: the key that opens the servers it starts, for their user alone."""

JOB_FILE = "repair.job"
"""In the folder of a launch: the id of the array that asks the servers."""

_LIMIT_S = 60.0


@dataclass(frozen=True)
class Servers:
    """Jobs that serve the repairer while it is asked.

    Attributes:
        command: words, but for `--host` and `--port`.
        count: servers, each on its own GPUs.
        gpus: of each.
    """

    command: tuple[str, ...]
    count: int = 1
    gpus: int = 1


@dataclass(frozen=True)
class SlurmOptions:
    """How workers are started on this cluster.

    Attributes:
        dfgen: words by which a node calls dfgen.
        source: words that name the run and its settings.
        folder: absolute, for scripts, logs and what servers say of themselves; all nodes see it.
        directory: the current folder of the workers.
        resources: of each worker.
        servers: None: the repairer is none, or somebody else's.
        time: limit of a task; None: the cluster's default.
        partition, cpu_partition: of tasks with GPUs and, where it is another one, without.
        options: further words for sbatch, such as `--account=x`.
        setup: lines of bash before the command.
        lease_s: seconds without a sign of life after which others take over a worker's shards;
            None: as workers choose.
    """

    dfgen: tuple[str, ...]
    source: tuple[str, ...]
    folder: Path
    directory: Path
    resources: Resources
    servers: Servers | None = None
    time: str | None = None
    partition: str | None = None
    cpu_partition: str | None = None
    options: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    lease_s: float | None = None


@dataclass(frozen=True)
class SlurmJob:
    """One array.

    Attributes:
        name: of the stage, or `server`.
        script: text of the batch script.
        after: jobs that come before it: how (`afterany`, `after`) and which.
    """

    name: str
    script: str
    after: tuple[str, str] | None = field(default=None)


def plan_jobs(tasks: Sequence[StageTask], options: SlurmOptions) -> list[SlurmJob]:
    """Write the jobs of a run, in the order in which they are submitted.

    Raises:
        ConfigError: a path cannot stand in a batch script.
    """
    jobs: list[SlurmJob] = []
    before: str | None = None
    for task in tasks:
        after = None if before is None else ("afterany", before)
        if task.stage == "repair" and options.servers is not None:
            jobs.append(SlurmJob(SERVER, _write_server(options, options.servers), after))
            # Workers without a server would only wait, on cores that others could use.
            after = ("after", SERVER)
        jobs.append(SlurmJob(task.stage, _write_worker(task, options), after))
        before = task.stage
    return jobs


def _write_worker(task: StageTask, options: SlurmOptions) -> str:
    command = [*options.dfgen, "launch", "worker", task.stage, *options.source, "--shared"]
    if options.lease_s is not None:
        command += ["--lease", f"{options.lease_s:g}"]
    if task.stage == "repair" and options.servers is not None:
        command += ["--servers", str(options.folder)]
    directives = _list_directives(task.stage, task.workers, task.gpus, options)
    return write_script(directives, command, options.setup)


def _write_server(options: SlurmOptions, servers: Servers) -> str:
    command = [*options.dfgen, "launch", "server", str(options.folder), "--", *servers.command]
    directives = _list_directives(SERVER, servers.count, servers.gpus, options)
    return write_script(directives, command, options.setup)


def _list_directives(
    name: str, tasks: int, gpus: int, options: SlurmOptions
) -> Iterator[tuple[str, str | None]]:
    yield "job-name", f"dfgen-{name}"
    yield "array", f"0-{tasks - 1}"
    yield "chdir", str(options.directory)
    yield "output", write_log_path(str(options.folder), name)
    yield "open-mode", "append"
    yield "requeue", None
    yield "signal", f"B:USR1@{GRACE_S}"
    yield "nodes", "1"
    yield "ntasks", "1"
    yield "cpus-per-task", str(options.resources.cpus)
    if options.resources.memory is not None:
        yield "mem", options.resources.memory
    if gpus:
        yield "gres", f"gpu:{gpus}"
    if options.time is not None:
        yield "time", options.time
    partition = options.partition if gpus else options.cpu_partition or options.partition
    if partition is not None:
        yield "partition", partition
    for option in options.options:
        key, equals, value = option.removeprefix("--").partition("=")
        yield key, value if equals else None


def show_jobs(jobs: Sequence[SlurmJob], folder: Path) -> Iterator[str]:
    """Yield the lines of a shell script that does what `submit_jobs` does."""
    served = any(job.name == SERVER for job in jobs)
    yield f"mkdir -p {shlex.quote(str(folder))}"
    if served:
        key = shlex.quote(str(folder / KEY_FILE))
        yield f"(umask 077; head -c 24 /dev/urandom | base64 > {key})"
    for job in jobs:
        path = shlex.quote(str(_name_script(folder, job)))
        end = _choose_end(job)
        yield f"\n(umask 077; cat > {path}) <<'{end}'"
        yield f"{job.script}{end}"
        after = "" if job.after is None else f"--dependency={job.after[0]}:${job.after[1]} "
        yield f"{job.name}=$(sbatch --parsable {after}{path})"
        yield f"{job.name}=${{{job.name}%%;*}}"
    if served:
        yield f"\necho $repair > {shlex.quote(str(folder / JOB_FILE))}"


def _choose_end(job: SlurmJob) -> str:
    """A line that ends the script where it is shown, and does not stand in it."""
    lines, end = set(job.script.splitlines()), f"END_OF_{job.name.upper()}"
    while end in lines:
        end += "_"
    return end


def refuse_without_slurm() -> None:
    """Raise `LaunchError` if jobs cannot be submitted from here."""
    if shutil.which("sbatch") is None:
        raise LaunchError(
            "there is no command `sbatch` here, so this is no machine that submits jobs to Slurm.",
            hint="--print shows the jobs; submit them from a login node of the cluster.",
        )


def submit_jobs(jobs: Sequence[SlurmJob], folder: Path) -> dict[str, str]:
    """Write the scripts and submit them; returns the id of each job by its name.

    Args:
        folder: of this launch, empty.

    Raises:
        LaunchError: Slurm refuses a job; those submitted are cancelled.
        StorageError: a script cannot be written.
    """
    with explain_os_errors(folder, "write"):
        for job in jobs:
            script = _name_script(folder, job)
            # Settings may hold secrets, and folders of a cluster are often open to all.
            script.touch(0o700)
            script.chmod(0o700)
            script.write_text(job.script, "utf-8")
        if any(job.name == SERVER for job in jobs):
            key = folder / KEY_FILE
            key.touch(0o600)
            key.write_text(secrets.token_urlsafe(24), "utf-8")
    ids: dict[str, str] = {}
    try:
        for job in jobs:
            after = [] if job.after is None else [f"{job.after[0]}:{ids[job.after[1]]}"]
            ids[job.name] = _submit(_name_script(folder, job), after)
    except BaseException:
        _cancel(list(ids.values()))
        raise
    if SERVER in ids:
        with explain_os_errors(folder, "write"):
            (folder / JOB_FILE).write_text(f"{ids['repair']}\n", "utf-8")
    return ids


def read_key(folder: Path) -> str:
    """Read the key of the servers of a launch.

    Raises:
        LaunchError: there is none.
    """
    path = folder / KEY_FILE
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise LaunchError(
            f"the key of the launch's servers cannot be read: {error.strerror}.", where=str(path)
        ) from None


def _submit(script: Path, dependencies: Sequence[str]) -> str:
    command = ["sbatch", "--parsable", *(f"--dependency={each}" for each in dependencies)]
    result = _call(*command, str(script))
    if result.returncode != 0:
        said = result.stderr.strip() or f"exit code {result.returncode}"
        raise LaunchError(
            f"Slurm does not take the job {script.stem}: {said}",
            hint="What was submitted before it has been cancelled. Nothing runs. --print shows the "
            "jobs.",
        )
    # "ID", or "ID;CLUSTER" where there are several clusters.
    return result.stdout.strip().partition(";")[0]


def _cancel(ids: Sequence[str]) -> None:
    if ids:
        _call("scancel", *ids)


def has_ended(job: str) -> bool:
    """Say whether an array has no task left that runs or may run; False while nobody knows.

    Raises:
        LaunchError: there is no `squeue` here.
    """
    result = _call("squeue", "--noheader", "--jobs", job, "--format=%i")
    if result.returncode != 0:  # forgotten by Slurm, or no answer at this moment
        return "Invalid job id" in result.stderr
    return not result.stdout.strip()


def _call(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_LIMIT_S
        )
    except FileNotFoundError:
        raise LaunchError(f"there is no command `{command[0]}` here.") from None
    except subprocess.TimeoutExpired:
        raise LaunchError(f"`{command[0]}` does not answer.", hint="Is Slurm up?") from None


def _name_script(folder: Path, job: SlurmJob) -> Path:
    return folder / f"{job.name}.sh"
