"""`dfgen launch`: has a scheduler start workers that share a run."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfgen.cli.checks import add_no_check
from dfgen.cli.local_path import LocalPath
from dfgen.cli.options import (
    EXISTING_DIRECTORY,
    SOURCE,
    add_all,
    choose_root,
    examples,
    read_pipeline,
    run_options,
    spending_options,
)
from dfgen.cli.run_command import ALL_STAGES, INTERRUPTED, drive
from dfgen.cli.sharing import add_sharing
from dfgen.errors import EngineError

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline
    from dfgen.runners.launching import Resources
    from dfgen.runners.slurm import Servers, SlurmOptions

SERVER_TRIES = 5
"""How often a worker looks for servers anew when those that it had are gone."""


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


def run_arguments() -> list[Callable[[Any], Any]]:
    """List the arguments that name a run and its settings, for launchers and workers alike."""
    return [
        click.argument("source", metavar=SOURCE, type=LocalPath()),
        *run_options("Use only the first N prompts."),
    ]


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
            type=click.FloatRange(min=1),
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
@add_all([*run_arguments(), *resource_options()])
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
    from dfgen.runners.slurm import plan_jobs, show_jobs

    root = choose_root(source, out, file)
    assert root is not None
    pipeline = read_pipeline(source, settings, limit, file)
    folder = (name_folder(root) if logs is None else logs).absolute()
    words = write_source(source, out, file, settings, limit)
    options = read_slurm_options(pipeline, folder, words, **given)
    jobs = plan_jobs(plan_stages(pipeline, options.resources), options)
    if only_print:
        for line in show_jobs(jobs, folder):
            click.echo(line)
        return
    begin_run(root, pipeline, served=options.servers is not None)
    submit(root, jobs, folder)


def submit(root: Path, jobs: Any, folder: Path) -> None:
    """Submit jobs and say where to look."""
    from dfgen.runners.slurm import submit_jobs
    from dfgen.store.os_errors import explain_os_errors

    with explain_os_errors(folder, "make"):
        folder.mkdir(parents=True)
    ids = submit_jobs(jobs, folder)
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
        dfgen=tuple(shlex.split(program)) if program else (sys.executable, "-m", "dfgen"),
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
    words = shlex.split(command) if command else ["vllm", "serve", model]
    if command is None and gpus > 1:
        words += ["--tensor-parallel-size", str(gpus)]
    return Servers(tuple(words), count, gpus)


def name_folder(root: Path) -> Path:
    """Choose the folder of a launch that none before it has used."""
    from dfgen.store.layout import LAUNCH

    folder = root / LAUNCH
    numbers = [int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit()]
    return folder / f"{max(numbers, default=0) + 1:04d}"


def write_source(
    source: Path,
    out: Path | None,
    file: Path | None,
    settings: tuple[str, ...],
    limit: int | None,
) -> list[str]:
    """Write the words by which a worker in another folder means the same run and settings."""
    words = [str(source.absolute())]
    for option, path in (("--out", out), ("--pipeline", file)):
        if path is not None:
            words += [option, str(path.absolute())]
    for each in settings:
        words += ["--set", each]
    return words if limit is None else [*words, "--limit", str(limit)]


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


@command.command(hidden=True)
@add_all([click.argument("stage", type=click.Choice(ALL_STAGES)), *run_arguments()])
@click.option("--servers", type=EXISTING_DIRECTORY, help="Folder of the launch that serves.")
@click.option("--until-eof", is_flag=True, help="Stop when standard input ends.")
@add_sharing
@add_no_check
def worker(
    stage: str,
    source: Path,
    out: Path | None,
    file: Path | None,
    settings: tuple[str, ...],
    limit: int | None,
    servers: Path | None,
    until_eof: bool,
) -> None:
    """Work on one stage of a run together with others: what launched workers run."""
    from dfgen.runners.worker import check_upstream, stop_at_end_of_input
    from dfgen.store.run import Run

    if until_eof:
        stop_at_end_of_input()
    root = choose_root(source, out, file)
    assert root is not None

    def read(more: tuple[str, ...] = ()) -> Pipeline:
        return read_pipeline(source, (*settings, *more), limit, file)

    pipeline = read()
    check_upstream(Run.open_or_create(root, pipeline), pipeline, stage)
    if servers is None:
        drive(pipeline, root, (stage,), quiet=False)
    else:
        ask_servers(read, root, stage, servers)


def ask_servers(
    read: Callable[[tuple[str, ...]], Pipeline], root: Path, stage: str, folder: Path
) -> None:
    """Work on a stage with the servers of a launch, and again with those that come after them.

    Args:
        read: the effective pipeline with further settings.
        folder: of the launch.

    Raises:
        LaunchError: no server comes up.
        EngineError: servers come up and cannot be used, several times.
    """
    from dfgen.runners.serving import KEY_VARIABLE, find_servers
    from dfgen.runners.slurm import read_key
    from dfgen.stages.stopping import StopSignal

    os.environ[KEY_VARIABLE] = key = read_key(folder)
    for tries_left in reversed(range(SERVER_TRIES)):
        click.echo("Waiting for the servers of the repairer.", err=True)
        with StopSignal() as stop:
            urls = find_servers(folder, key, stop)
        if not urls:
            raise SystemExit(INTERRUPTED)
        place = f"repair.engine.base_url={json.dumps(urls)}"
        try:
            drive(
                read((place, f"repair.engine.api_key_env={KEY_VARIABLE}")),
                root,
                (stage,),
                quiet=False,
            )
        except EngineError as error:
            if not tries_left:
                raise
            click.echo(f"Error: {error}\nOnce more, with the servers there are then.", err=True)
        else:
            return


@command.command(hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("folder", type=EXISTING_DIRECTORY)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
def server(folder: Path, words: tuple[str, ...]) -> None:
    """Serve the repairer until the workers of a launch are done: what a job of `launch slurm` runs.

    FOLDER is that of the launch, WORDS the command of the server.
    """
    from dfgen.runners.serving import Place, serve
    from dfgen.runners.slurm import JOB_FILE, read_key
    from dfgen.stages.stopping import StopSignal

    place = Place(
        folder,
        int(os.environ.get("SLURM_ARRAY_TASK_ID", "0")),
        int(os.environ.get("SLURM_ARRAY_TASK_COUNT", "1")),
    )
    with StopSignal() as stop:
        done = serve(words, place, read_key(folder), partial(is_over, folder / JOB_FILE), stop)
    if not done:
        raise SystemExit(INTERRUPTED)


def is_over(file: Path) -> bool:
    """Say whether the array has ended whose id stands in a file; False while there is none."""
    from dfgen.runners.slurm import has_ended

    try:
        job = file.read_text("utf-8").strip()
    except OSError:
        return False
    return bool(job) and has_ended(job)
