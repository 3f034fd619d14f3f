# ruff: noqa: E501 - tables of words
"""Grades one completion in this process."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dfgen.grade.extract import shorten
from dfgen.grade.registry import get_grader
from dfgen.grade.verdict import GradeItem, Verdict

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig


_told: set[str] = set()


def grade(
    completion: str,
    answer: str,
    *,
    answer_type: str = "auto",
    choices: Sequence[str] = (),
    config: GradeConfig | None = None,
) -> Verdict:
    """Say whether `completion` states `answer`, in this process.

    Never raises: a grader that fails gives an undecided verdict whose detail names the error.
    Algebra is not bounded in time here; use `GradePool` for text that nobody has read.

    Args:
        completion: text of the policy.
        answer: the reference answer.
        answer_type: name of the grader; auto lets `config.grader` decide.
        choices: texts of a multiple choice question, in the order of their letters.
        config: tolerances and habits; unset: the defaults.
    """
    try:
        if config is None:
            from dfgen.config.grade import GradeConfig

            config = GradeConfig()
        item = GradeItem(completion, answer, answer_type, tuple(choices))
        return reconcile(run_grader(item, config))
    except Exception as error:
        return make_failure(answer_type, answer, f"{type(error).__name__}: {error}")


def run_grader(item: GradeItem, config: GradeConfig) -> Verdict:
    """Return the verdict as the grader gave it, checked but not reconciled. May raise anything."""
    name = resolve_name(item, config)
    grader, config = get_grader(name), apply_precision(item, config)
    verdict = grader.grade(item.completion, item.answer, item.choices, config)
    return check_verdict(verdict, name, item.answer)


def apply_precision(item: GradeItem, config: GradeConfig) -> GradeConfig:
    """Return the settings for one item: a stated precision allows half a unit of its last decimal."""
    if item.precision is None:
        return config
    half = 0.5 * 10.0**-item.precision
    # A hair more, so that 3.145 is within half a hundredth of 3.14 in binary floats, too.
    tolerance = max(config.absolute_tolerance, half * (1 + 1e-9))
    return config.model_copy(update={"absolute_tolerance": tolerance})


def reconcile(verdict: Verdict) -> Verdict:
    """Return the verdict with `correct` as its reward says: right is a reward of 1.

    A grader of a user may give partial rewards and still call the answer correct. That is told once
    for each grader; the reward decides everywhere. An undecided verdict has the reward 0.
    """
    if verdict.undecided:
        return replace(verdict, correct=False, reward=0.0) if verdict.reward else verdict
    from dfgen.records import is_right  # not at the top: a grader needs no pydantic

    right = is_right(verdict.reward)
    if verdict.correct is right:
        return verdict
    if verdict.grader not in _told:
        _told.add(verdict.grader)
        warnings.warn(
            f"the grader {verdict.grader!r} says correct={verdict.correct} with the reward "
            f"{verdict.reward:g}; an answer is right where the reward is 1, and the reward decides.",
            RuntimeWarning,
            stacklevel=3,
        )
    return replace(verdict, correct=right)


def resolve_name(item: GradeItem, config: GradeConfig) -> str:
    """Return the name of the grader for an item: its own type, or the configured grader."""
    return config.grader if item.answer_type in {"auto", ""} else item.answer_type


def grade_inline(item: GradeItem, config: GradeConfig) -> Verdict | None:
    """Return the verdict if it can be had quickly and safely in this process, else None.

    Raises:
        ConfigError: the item or the configuration names an unknown grader.
    """
    name = resolve_name(item, config)
    grader = get_grader(name)
    if grader.try_inline is None:
        return None
    config = apply_precision(item, config)
    try:
        verdict = grader.try_inline(item.completion, item.answer, item.choices, config)
    except Exception as error:
        return make_failure(name, item.answer, f"{type(error).__name__}: {error}")
    return None if verdict is None else check_verdict(verdict, name, item.answer)


def make_failure(name: str, answer: str, detail: str) -> Verdict:
    """Return the undecided verdict for a grader that failed."""
    return Verdict(
        False,
        0.0,
        name,
        None,
        _encodable(answer),
        "none",
        _encodable(shorten(detail, 300)),
        undecided=True,
    )


_KILLED = ("timed out after ", "the grading process ")
"""How the details begin of graders that were late or died; what they had to read is on record."""


def is_failure(undecided: bool | None, extracted: str | None, detail: str) -> bool:
    """Say whether an undecided verdict is that of a grader that failed.

    The others are of an answer that was given, found and could not be compared.

    Args:
        undecided, extracted, detail: of the verdict.
    """
    return bool(undecided) and (extracted is None or detail.startswith(_KILLED))


def check_verdict(verdict: object, name: str, answer: str) -> Verdict:
    """Return a verdict that every store can hold: UTF-8 text, a reward between 0 and 1."""
    if not isinstance(verdict, Verdict):
        return make_failure(
            name, answer, f"the grader returned {type(verdict).__name__}, not a Verdict"
        )
    reward = float(verdict.reward)
    if not math.isfinite(reward) or not 0 <= reward <= 1:
        return make_failure(name, answer, f"the grader gave the reward {reward}, not 0 to 1")
    return replace(
        verdict,
        correct=bool(verdict.correct),
        undecided=bool(verdict.undecided),
        reward=reward,
        extracted=None if verdict.extracted is None else _encodable(verdict.extracted),
        expected=_encodable(verdict.expected),
        detail=_encodable(verdict.detail),
    )


def _encodable(text: object) -> str:
    """Lone surrogates, which a tokenizer can produce, cannot be written as UTF-8."""
    return str(text).encode("utf-8", "replace").decode("utf-8")
