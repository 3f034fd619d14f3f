"""Reads whether a command shares its run with others: `--shared`, `--shard`, `--lease`."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

LEASE_S = 60.0
_CHOSEN = "dfgen.cli.sharing"
_SLURM = "slurm"


@dataclass(frozen=True)
class Sharing:
    """How a worker shares a run.

    Attributes:
        lease_s: seconds without a sign of life after which others take over its shards.
        part: (i, N): it works on the shards whose number leaves i when divided by N, and does not
            wait for others; None: on whatever is left, until nothing is.
    """

    lease_s: float = LEASE_S
    part: tuple[int, int] | None = None


class LeaseSeconds(click.FloatRange):
    """Seconds from 1 to a day: a longer lease, or one that is no number, never ends."""

    def __init__(self) -> None:
        super().__init__(min=1, max=86_400)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number of seconds."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return seconds


def add_sharing(function: F) -> F:
    """Add the options, which the command itself need not pass on: `read_sharing` sees them."""
    for decorate in reversed(_OPTIONS):
        function = decorate(function)
    return function


def read_sharing() -> Sharing | None:
    """Return how the command that runs shares its run; None if it wants it for itself.

    Raises:
        click.UsageError: the options do not fit.
    """
    context = click.get_current_context(silent=True)
    chosen = {} if context is None else context.meta.get(_CHOSEN, {})
    part, lease_s = chosen.get("part"), chosen.get("lease_s")
    if part is not None or chosen.get("shared"):
        return Sharing(LEASE_S if lease_s is None else lease_s, part)
    if lease_s is not None:
        raise click.UsageError("--lease is for --shared.")
    return None


def read_part(text: str, environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Read `i/N`, or `slurm`: which task of how many of a Slurm array this is.

    Raises:
        click.BadParameter: it is neither, or i is not below N; or there is no Slurm array.
    """
    if text == _SLURM:
        return _read_slurm(environment)
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text, re.ASCII)
    if match is None or int(match[1]) >= int(match[2]):
        raise click.BadParameter(f"{text!r} is not I/N with 0 <= I < N, such as 0/4.")
    return int(match[1]), int(match[2])


def _read_slurm(environment: Mapping[str, str]) -> tuple[int, int]:
    def read(name: str, default: str | None = None) -> int:
        text = environment.get(f"SLURM_ARRAY_TASK_{name}", default)
        if text is None or not re.fullmatch("[0-9]{1,9}", text, re.ASCII):
            raise click.BadParameter(
                f"SLURM_ARRAY_TASK_{name} is {text!r}: this is no task of a Slurm array. Give I/N."
            )
        return int(text)

    number, count, first = read("ID"), read("COUNT"), read("MIN", "0")
    index = (number - first) // max(1, read("STEP", "1"))
    if not 0 <= index < count:
        raise click.BadParameter(
            f"SLURM_ARRAY_TASK_ID is {number}, and the array has {count} tasks from {first} on."
        )
    return index, count


def _note(name: str, read: Callable[[Any], Any]) -> Callable[..., None]:
    def note(context: click.Context, parameter: click.Parameter, value: Any) -> None:  # noqa: ARG001
        given = None if value is None else read(value)
        context.meta.setdefault(_CHOSEN, {})[name] = given

    return note


_OPTIONS = (
    click.option(
        "--shared",
        is_flag=True,
        expose_value=False,
        callback=_note("shared", bool),
        help="Work on the run together with other processes, here or on other machines, that were "
        "given the same command. Whoever dies, the others go on in its place.",
    ),
    click.option(
        "--shard",
        is_flag=False,
        flag_value=_SLURM,
        metavar="I/N",
        expose_value=False,
        callback=_note("part", read_part),
        help="Like --shared, but only every N-th shard from I on (0 <= I < N), and do not wait for "
        "others. `slurm`, or nothing: as SLURM_ARRAY_TASK_ID and _COUNT say.",
    ),
    click.option(
        "--lease",
        type=LeaseSeconds(),
        metavar="SECONDS",
        expose_value=False,
        callback=_note("lease_s", float),
        help="With --shared: without a sign of life for so long, others take over.  [default: 60]",
    ),
)
