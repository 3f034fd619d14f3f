"""Looks whether a worker that a scheduler has started may begin, and when it has to end."""

from __future__ import annotations

import os
import signal
import sys
import threading

from dfgen.config.pipeline import Pipeline
from dfgen.errors import LaunchError
from dfgen.runners.launching import Resources, plan_stages
from dfgen.store.layout import Stage, list_inputs
from dfgen.store.run import Run

_SHOWN = 5


def check_upstream(run: Run, pipeline: Pipeline, stage: Stage) -> None:
    """Make sure that the stages before this one are done.

    A scheduler starts a stage when the workers before it have ended, in whatever way. Shards that
    none of them has finished must not be taken for rows that there are not.

    Raises:
        LaunchError: names the stage that is not done, and its open shards.
    """
    for task in plan_stages(pipeline, Resources(1)):
        if task.stage == stage:
            return
        opened = list_open(run, task.stage)
        if run.manifest.get_stage(task.stage).state == "done" and not opened:
            continue
        some = ", ".join(map(str, opened[:_SHOWN])) + (", ..." if len(opened) > _SHOWN else "")
        left = f" (open shards: {some})" if opened else ""
        raise LaunchError(
            f"the stage {task.stage} is not done{left}, so {stage} does not begin.",
            where=str(run.root),
            hint="The logs of its workers say why. Put that right and launch the run again: it "
            "goes on with what is left.",
        )


def list_open(run: Run, stage: Stage) -> list[int]:
    """List the shards in which a stage has something left to do, of those that are ready for it."""
    inputs = list_inputs(stage)
    if not inputs:
        return []
    return [shard for shard in run.table(inputs[0]).shards() if not run.is_done(stage, shard)]


def stop_at_end_of_input() -> None:
    """Ask this process to stop when whoever holds its standard input has gone.

    The end of a pipe is noticed however its other side ended; a signal need not be sent.
    """

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1 << 10):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="dfgen-input", daemon=True).start()
