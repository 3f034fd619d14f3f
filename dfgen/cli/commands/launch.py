"""`dfgen launch`: has a scheduler start workers that share a run."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfgen.cli.checks import add_no_check, is_check_wanted
from dfgen.cli.launched import server, worker
from dfgen.cli.local_path import LocalPath
from dfgen.cli.options import (
    add_all,
    choose_root,
    examples,
    launch_arguments,
    read_pipeline,
    spending_options,
)
from dfgen.cli.run_command import ALL_STAGES, print_outcome
from dfgen.cli.sharing import LeaseSeconds
from dfgen.ending import INTERRUPTED

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline
    from dfgen.runners.launching import Resources
    from dfgen.runners.slurm import Servers, SlurmOptions
    from dfgen.store.layout import Stage


@click.group(
    epilog=examples(
        "dfgen launch slurm my.yaml --out runs/a --workers 8 --print",
        "dfgen launch ray my.yaml --out runs/a --workers 8",
    )
)
def command() -> None:
    """Have Slurm or Ray start workers that share a run, stage after stage.

    The run directory lies where all of them see it. What dies is replaced or taken over by the
    others; the same command again goes on with what is left.
    """


command.add_command(worker)
command.add_command(server)


def resource_options() -> list[Callable[[Any], Any]]:
    """List the options that say how many workers there are, and what each gets."""
    return [
        click.option(
            "--workers", type=click.IntRange(min=1), required=True, help="Workers of each stage."
        ),
        click.option(
            "--gpus-per-worker",
            "gpus",
            type=click.IntRange(min=0),
            help="Where a stage holds a model.  [default: what one copy of the model takes]",
        ),
        click.option(
            "--cpus-per-worker",
            "cpus",
            type=click.IntRange(min=1),
            default=4,
            show_default=True,
            help="Cores.",
        ),
        click.option(
            "--lease",
            "lease_s",
            type=LeaseSeconds(),
            metavar="SECONDS",
            help="Without a sign of life of a worker for so long, others take over.  [default: 60]",
        ),
    ]


@command.command(
    epilog=examples(
        "dfgen launch slurm my.yaml --out runs/a --workers 8 --time 4:00:00 --print",
        "dfgen launch slurm my.yaml --out runs/a --workers 8 --partition gpu --cpu-partition cpu",
        "dfgen launch slurm my.yaml --out runs/a --workers 8 --serve-repairer --gpus-per-server 4",
        "dfgen launch slurm runs/a --workers 8 --sbatch=--account=lab --setup 'module load cuda'",
    )
)
@spending_options
@add_all([*launch_arguments(), *resource_options()])
@click.option("--memory-per-worker", "memory", metavar="SIZE", help="As sbatch says it: 64G.")
@click.option("--time", metavar="LIMIT", help="Of a task, as sbatch says it: 4:00:00.")
@click.option("--partition", metavar="NAME", help="Of tasks with GPUs, or of all.")
@click.option("--cpu-partition", metavar="NAME", help="Of tasks without GPUs.")
@click.option(
    "--sbatch",
    multiple=True,
    metavar="OPTION",
    help="Further option of sbatch. Any number of them.",
)
@click.option(
    "--setup", multiple=True, metavar="LINE", help="Line of bash before the work: module load cuda."
)
@click.option(
    "--dfgen",
    "program",
    metavar="COMMAND",
    help="How a node calls dfgen, such as a container.  [default: this Python]",
)
@click.option(
    "--serve-repairer", is_flag=True, help="Serve repair.engine.model in jobs of their own."
)
@click.option(
    "--servers", "count", type=click.IntRange(min=1), default=1, show_default=True, help="Of these."
)
@click.option(
    "--gpus-per-server",
    "server_gpus",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="GPUs of each.",
)
@click.option(
    "--server-command",
    metavar="COMMAND",
    help="Starts one; --host and --port are added.  [default: vllm serve MODEL]",
)
@click.option(
    "--logs",
    type=LocalPath(file_okay=False),
    help="Folder for scripts and logs, seen by all nodes.  [default: RUN/launch/N]",
)
@click.option("--print", "only_print", is_flag=True, help="Show the jobs and submit nothing.")
@add_no_check
def slurm(
    source: Path,
    out: Path | None,
    file: Path | None,
    settings: tuple[str, ...],
    limit: int | None,
    logs: Path | None,
    only_print: bool,
    **given: Any,
) -> None:
    """Submit a job array to Slurm for each stage, each after the one before it.

    A task whose time is nearly up finishes what is in flight and is queued again; one that is
    preempted, or whose node dies, is queued again by Slurm. A worker that dies otherwise is done
    without: the others take over its shards. Where all have died, the same command goes on.
    """
    from dfgen.runners.launching import plan_stages
    from dfgen.runners.slurm import plan_jobs, refuse_without_slurm, show_jobs

    root = choose_shared_root(source, out, file)
    pipeline = read_pipeline(source, settings, limit, file)
    folder = (name_folder(root) if logs is None else logs).absolute()
    words = write_source(source, out, file, settings, limit)
    options = read_slurm_options(pipeline, folder, words, **given)
    jobs = plan_jobs(plan_stages(pipeline, options.resources), options)
    if only_print:
        for line in show_jobs(jobs, folder):
            click.echo(line)
        return
    refuse_without_slurm()
    begin_run(root, pipeline, served=options.servers is not None)
    submit(root, jobs, folder)


@command.command(
    epilog=examples(
        "dfgen launch ray my.yaml --out runs/a --workers 8",
        "dfgen launch ray my.yaml --out runs/a --workers 8 --address 10.0.0.1:6379",
        "dfgen launch ray runs/a --workers 8 --set repair.engine.base_url=http://serve:8000/v1",
    )
)
@spending_options
@add_all([*launch_arguments(), *resource_options()])
@click.option(
    "--address",
    default="auto",
    show_default=True,
    help="Of the cluster: HOST:PORT; auto: the one that this machine belongs to.",
)
@click.option(
    "--dfgen",
    "program",
    metavar="COMMAND",
    help="How a node calls dfgen.  [default: the Python of Ray there]",
)
@click.option(
    "--env",
    "names",
    multiple=True,
    metavar="NAME",
    help="Variable of the environment that workers are given, too. Keys of the pipeline's engines "
    "and what begins with DFGEN_, OPENAI_, HF_, AWS_, GOOGLE_ or AZURE_ they are given anyway.",
)
@add_no_check
def ray(
    source: Path,
    out: Path | None,
    file: Path | None,
    settings: tuple[str, ...],
    limit: int | None,
    lease_s: float | None,
    address: str,
    program: str | None,
    names: tuple[str, ...],
    **resources: Any,
) -> None:
    """Run all stages on a Ray cluster, and wait for the end: an actor for each worker.

    An actor whose node is gone is replaced; its shards are taken over. Ctrl-C lets all workers
    finish what is in flight; the same command goes on. Nodes need dfgen, and see the run directory.
    A repairer that Ray Serve serves, or several, is named as any other is, by
    repair.engine.base_url: one address or a list.
    """
    root = choose_shared_root(source, out, file)
    pipeline = read_pipeline(source, settings, limit, file)
    from dfgen.runners.launching import list_key_variables, plan_stages
    from dfgen.runners.ray import RayOptions, collect_variables, connect, disconnect, run_on_ray
    from dfgen.stages.stopping import StopSignal
    from dfgen.store.mounts import look_again
    from dfgen.store.run import Run

    options = RayOptions(
        dfgen=split_words(program, "--dfgen") if program else None,
        source=tuple(write_source(source, out, file, settings, limit)),
        directory=Path.cwd(),
        resources=read_resources(**resources),
        variables=collect_variables((*names, *list_key_variables(pipeline)), os.environ),
        lease_s=lease_s,
    )
    tasks = plan_stages(pipeline, options.resources)
    connect(address)
    try:
        begin_run(root, pipeline, served=False)
        run = Run.open_or_create(root, None)

        def count_finished(stage: Stage) -> int:
            look_again(root)
            return len(run.output(stage).shards())

        with StopSignal(announce_stop) as stop:
            complete = run_on_ray(tasks, options, count_finished, say, stop)
    finally:
        disconnect()
    look_again(root)
    if not complete:
        say(f"Stopped. Everything finished is in {root}; the same command goes on from there.")
        raise SystemExit(INTERRUPTED)
    print_outcome(Run.open_or_create(root, None), quiet=False, as_json=False, with_groups=False)


def choose_shared_root(source: Path, out: Path | None, file: Path | None) -> Path:
    """Choose the run directory, as `choose_root` does, for several workers.

    Raises:
        StorageError: the run lies where workers cannot share it.
    """
    from dfgen.store.shared.folder import refuse_sharing

    root = choose_root(source, out, file)
    assert root is not None
    refuse_sharing(root)
    return root


def say(sentence: str) -> None:
    """Print what a person should know."""
    from dfgen.terminal_text import show_text

    click.echo(show_text(sentence), err=True)


def announce_stop(loading: str) -> None:  # noqa: ARG001 - models are loaded by the workers
    """Say that a stop was heard."""
    say("\nStopping: the workers finish what is in flight. Once more ends at once.")


def submit(root: Path, jobs: Any, folder: Path) -> None:
    """Submit jobs and say where to look; a launch that fails leaves no folder behind."""
    from dfgen.runners.slurm import submit_jobs
    from dfgen.store.os_errors import explain_os_errors

    made = [each for each in (folder, *folder.parents) if not each.exists()]
    with explain_os_errors(folder, "make"):
        folder.mkdir(parents=True)
    try:
        ids = submit_jobs(jobs, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        for each in made[1:]:
            with suppress(OSError):  # another launch has its folder there
                each.rmdir()
        raise
    for name, job in ids.items():
        click.echo(f"{name}\t{job}")
    click.echo(f"Logs: {folder}\nHow far it is: dfgen status {root} --watch", err=True)


def read_slurm_options(
    pipeline: Pipeline,
    folder: Path,
    words: list[str],
    *,
    program: str | None,
    memory: str | None,
    time: str | None,
    partition: str | None,
    cpu_partition: str | None,
    sbatch: tuple[str, ...],
    setup: tuple[str, ...],
    serve_repairer: bool,
    count: int,
    server_gpus: int,
    server_command: str | None,
    lease_s: float | None,
    **resources: Any,
) -> SlurmOptions:
    """Read what the options of `launch slurm` say.

    Raises:
        ConfigError: there is no repairer to serve.
        click.UsageError: an option of sbatch is none.
    """
    from dfgen.runners.slurm import SlurmOptions

    for option in sbatch:
        if not option.startswith("--"):
            raise click.UsageError(
                f"--sbatch takes a long option: --sbatch=--account=x, not {option}"
            )
    servers = None
    if serve_repairer:
        servers = read_servers(pipeline, count, server_gpus, server_command)
    elif server_command is not None:
        raise click.UsageError("--server-command is for --serve-repairer.")
    return SlurmOptions(
        dfgen=split_words(program, "--dfgen") if program else (sys.executable, "-m", "dfgen"),
        source=tuple(words),
        folder=folder,
        directory=Path.cwd(),
        resources=read_resources(memory=memory, **resources),
        servers=servers,
        time=time,
        partition=partition,
        cpu_partition=cpu_partition,
        options=sbatch,
        setup=setup,
        lease_s=lease_s,
    )


def read_resources(
    *, workers: int, gpus: int | None, cpus: int, memory: str | None = None
) -> Resources:
    """Bring together what each worker gets."""
    from dfgen.runners.launching import Resources

    return Resources(workers, gpus, cpus, memory)


def read_servers(pipeline: Pipeline, count: int, gpus: int, command: str | None) -> Servers:
    """Say how the repairer is served.

    Raises:
        ConfigError: there is none that is asked through a server.
    """
    from dfgen.runners.launching import find_served_model
    from dfgen.runners.slurm import Servers

    model = find_served_model(pipeline).model
    words: tuple[str, ...] = ("vllm", "serve", model)
    if command is not None:
        words = split_words(command, "--server-command")
    if command is None and gpus > 1:
        words += ("--tensor-parallel-size", str(gpus))
    return Servers(words, count, gpus)


def split_words(text: str, option: str) -> tuple[str, ...]:
    """Split a command into words as a shell does. Raises `click.UsageError` if it is none."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise click.UsageError(f"{option} is no command: {error}.") from None
    if not words:
        raise click.UsageError(f"{option} is empty.")
    return words


def name_folder(root: Path) -> Path:
    """Choose the folder of a launch that none before it has used.

    Raises:
        click.UsageError: the run lies in a bucket.
    """
    from dfgen.store.layout import LAUNCH
    from dfgen.store.mounts import find_mount

    if find_mount(root) is not None:
        raise click.UsageError(
            "a run in a bucket needs --logs FOLDER: scripts and logs lie on a disk of the cluster."
        )
    folder = root / LAUNCH
    names = [path.name for path in folder.glob("[0-9]*")]
    numbers = [int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 10]
    return folder / f"{max(numbers, default=0) + 1:04d}"


def write_source(
    source: Path,
    out: Path | None,
    file: Path | None,
    settings: tuple[str, ...],
    limit: int | None,
) -> list[str]:
    """Write the words by which a worker in another folder means the same run and settings."""
    from dfgen.store.mounts import name_place

    words = [name_place(source.absolute())]
    for option, path in (("--out", out), ("--pipeline", file)):
        if path is not None:
            words += [option, name_place(path.absolute())]
    for each in settings:
        words += ["--set", each]
    if limit is not None:
        words += ["--limit", str(limit)]
    return words if is_check_wanted() else [*words, "--no-check"]


def begin_run(root: Path, pipeline: Pipeline, *, served: bool) -> None:
    """Look for what would stop the run, and begin it if it is not there.

    Args:
        served: whether the repairer is to be served, so that it cannot be asked yet.

    Raises:
        ConfigError: something stands in the way.
        StorageError: the directory is none for a run.
    """
    from dfgen.cli.checks import refuse_problems
    from dfgen.store.run import Run

    stages = tuple(stage for stage in ALL_STAGES if not (served and stage == "repair"))
    refuse_problems(pipeline, stages, root)
    Run.open_or_create(root, pipeline)
