"""Writes the batch scripts by which Slurm starts the workers of a stage.

What a script does when its time is nearly up, and what Slurm does itself, is kept apart by the
signal. Slurm sends USR1 to the script alone (`--signal=B:USR1`): the worker is asked to drain, and
the task goes back into the queue. TERM it sends to every process of a task that is cancelled or
preempted, the worker among them: nobody has to be told, and to requeue is Slurm's own business;
a task that its user has cancelled must not come back.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

from dfgen.errors import ConfigError

GRACE_S = 120
"""Seconds before the time limit at which a worker is asked to drain."""

REQUEUES = 100
"""How often a task goes back into the queue because its time was up."""

_BODY = """
# Near its time limit a task is asked to finish what is in flight, and queued again. A task that is
# cancelled or preempted gets TERM, as its worker does; whether it comes back is up to Slurm.
worker= signalled= again=
trap 'signalled=1; again=1; [ -z "$worker" ] || kill -TERM "$worker"' USR1
trap 'signalled=1' TERM
{setup}
{command} &
worker=$!
# A signal ends `wait`, and not the worker.
while :; do
    signalled=
    wait "$worker"
    code=$?
    [ -n "$signalled" ] || break
done
if [ "$code" -eq {stopped} ] && [ -n "$again" ]; then
    if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {requeues} ]; then
        exec scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
    fi
    echo "queued again {requeues} times already: this task ends here" >&2
fi
exit "$code"
"""

_STOPPED = 130
"""Exit code of a command that was asked to stop and has more to do."""

# Slurm replaces % signs of log paths, and does so no more once there is a backslash in one.
_UNWRITABLE = re.compile(r"[\\\x00-\x1f\x7f]")
_OPTION = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)


def write_script(
    directives: Iterable[tuple[str, str | None]], command: Sequence[str], setup: Sequence[str]
) -> str:
    """Write a batch script that runs one command for each task of an array.

    Args:
        directives: options of sbatch with their values, written as `#SBATCH` lines; None: no value.
        command: words.
        setup: lines of bash that come before it (`module load cuda`).

    Raises:
        ConfigError: an option cannot be written on one line, or the script as text.
    """
    head = "".join(f"#SBATCH {write_directive(name, value)}\n" for name, value in directives)
    body = _BODY.format(
        setup="\n".join(setup), command=shlex.join(command), requeues=REQUEUES, stopped=_STOPPED
    )
    script = f"#!/bin/bash\n{head}{body}"
    check_text(script)
    return script


def check_text(script: str) -> None:
    """Raise `ConfigError` if a batch script holds what no file of text can."""
    try:
        script.encode()
    except UnicodeEncodeError as error:
        odd = script[max(0, error.start - 40) : error.end + 10].splitlines()[0]
        raise ConfigError(
            f"a path or setting is no UTF-8: {odd!r}.",
            where="the batch script",
            hint="Rename that file or folder: a batch script is text.",
        ) from None
    if "\0" in script:
        raise ConfigError("a setting holds a NUL character, which no command can be given.")


def write_directive(name: str, value: str | None) -> str:
    r"""Write an option of sbatch as sbatch reads it from a script.

    There `'`, `#` and blanks mean something outside of double quotes, and `"` in them unless a
    backslash stands before it.

    Raises:
        ConfigError: it holds what cannot be written there.
    """
    if not _OPTION.fullmatch(name):
        raise ConfigError(
            f"--{name} is no option of sbatch.",
            where="--sbatch",
            hint="An option is small letters and hyphens, with its value after `=`.",
        )
    if value is None:
        return f"--{name}"
    check_value(f"--{name}", value)
    if not re.search(r"[\s\"'#]", value):
        return f"--{name}={value}"
    quoted = value.replace('"', r"\"")
    return f'--{name}="{quoted}"'


def check_value(what: str, value: str) -> None:
    """Raise `ConfigError` if a text cannot stand in a batch script's options."""
    found = _UNWRITABLE.search(value)
    if found is not None:
        raise ConfigError(
            f"{value!r} holds {found[0]!r}, which the options of a batch script cannot hold.",
            where=what,
            hint="Choose another path; for the logs alone: --logs FOLDER.",
        )


def write_log_path(folder: str, name: str) -> str:
    """Write the path of a log of each task of an array: `sample-JOB_TASK.log`.

    Raises:
        ConfigError: Slurm cannot have such a path.
    """
    check_value("--logs", folder)
    return f"{folder.replace('%', '%%')}/{name}-%A_%a.log"
