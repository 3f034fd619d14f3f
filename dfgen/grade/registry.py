"""Finds graders by name: built-in ones, entry points of `dfgen.graders`, and any function.

A user's grader is a callable `(completion, answer, choices, config) -> Verdict`. It always runs in
a worker process of `GradePool`, so it may be slow, hang or crash.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from dfgen.errors import ConfigError, guess_name
from dfgen.grade import auto, choice, math, numeric, text

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig
    from dfgen.grade.verdict import Verdict

    GradeFunction = Callable[[str, str, Sequence[str], GradeConfig], Verdict]
    TryFunction = Callable[[str, str, Sequence[str], GradeConfig], Verdict | None]

ENTRY_POINT_GROUP = "dfgen.graders"


@dataclass(frozen=True, slots=True)
class Grader:
    """A named grader.

    Args:
        name: what `answer_type` and `GradeConfig.grader` say.
        grade: decides; may hang.
        try_inline: decides what is safe to decide in the calling process, None otherwise; graders
            of users have none.
    """

    name: str
    grade: GradeFunction
    try_inline: TryFunction | None = None


_BUILT_IN = {
    grader.name: grader
    for grader in (
        Grader(auto.NAME, auto.grade_auto, auto.try_auto),
        Grader(math.NAME, math.grade_math, math.try_math),
        Grader(choice.NAME, choice.grade_choice, choice.try_choice),
        Grader(numeric.NAME, numeric.grade_numeric, numeric.grade_numeric),
        Grader(text.NAME, text.grade_text, text.grade_text),
    )
}


@cache
def _find_entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def list_graders() -> list[str]:
    """Return the names of all built-in and installed graders, sorted."""
    return sorted({*_BUILT_IN, *_find_entry_points()})


def is_built_in(name: str) -> bool:
    """Say whether a grader is one of dfgen's own, whose evidence is known to be complete."""
    return name in _BUILT_IN


@cache
def get_grader(name: str) -> Grader:
    """Return the grader of that name.

    Args:
        name: a built-in grader, an entry point, or `package.module:function`.

    Raises:
        ConfigError: there is no such grader, or it cannot be imported or called.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    points = _find_entry_points()
    if name in points:
        return _load(points[name], name)
    module, colon, function = name.partition(":")
    if colon and module and function:
        return _load(EntryPoint(name, name, ENTRY_POINT_GROUP), name)
    names = list_graders()
    meant = guess_name(name, names)
    hint = f"Did you mean {meant!r}? " if meant else ""
    raise ConfigError(
        f"there is no grader named {name!r}.",
        where="grade.grader",
        hint=f"{hint}Graders: {', '.join(names)}, or package.module:function.",
    )


def _load(point: EntryPoint, name: str) -> Grader:
    importlib.invalidate_caches()
    try:
        function = point.load()
    except Exception as error:
        raise ConfigError(
            f"the grader {name!r} cannot be imported: {type(error).__name__}: {error}",
            where="grade.grader",
            hint="Check the name of the module and the function, and that it is installed.",
        ) from error
    if not callable(function):
        raise ConfigError(
            f"the grader {name!r} is not a function.",
            where="grade.grader",
            hint="It must be a callable (completion, answer, choices, config) -> Verdict.",
        )
    return Grader(name, function)
