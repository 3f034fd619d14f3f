"""Does what jobs and actors of `dfgen launch` run: works on a stage, or serves the repairer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfgen.cli.checks import add_no_check
from dfgen.cli.options import (
    EXISTING_DIRECTORY,
    add_all,
    choose_root,
    launch_arguments,
    read_pipeline,
)
from dfgen.cli.run_command import ALL_STAGES, drive
from dfgen.cli.sharing import add_sharing
from dfgen.ending import INTERRUPTED
from dfgen.errors import DfgenError, EngineError

if TYPE_CHECKING:
    from dfgen.config.pipeline import Pipeline

SERVER_TRIES = 5
"""How often a worker looks for servers anew when those that it had are gone."""


@click.command(hidden=True)
@add_all([click.argument("stage", type=click.Choice(ALL_STAGES)), *launch_arguments()])
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
    from dfgen.store.shared.failures import note_failure

    if until_eof:
        stop_at_end_of_input()
    root = choose_root(source, out, file)
    assert root is not None

    def read(more: tuple[str, ...] = ()) -> Pipeline:
        return read_pipeline(source, (*settings, *more), limit, file)

    try:
        pipeline = read()
        check_upstream(Run.open_or_create(root, pipeline), pipeline, stage)
        if servers is None:
            drive(pipeline, root, (stage,), quiet=False)
        else:
            ask_servers(read, root, stage, servers)
    except DfgenError as error:
        note_failure(root, stage, error)
        raise


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


@click.command(hidden=True, context_settings={"ignore_unknown_options": True})
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
