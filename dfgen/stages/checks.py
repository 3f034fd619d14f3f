"""What a repair must pass to be accepted: one function per check, in one table.

A check returns None when the repair passes, else one sentence that says what is wrong; the same
sentence is kept with the attempt and told to the repairer in the next one. The table is in order of
cost: the verdict of a grader comes last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dfgen.config.repair import RepairConfig

if TYPE_CHECKING:
    from dfgen.diff.pair import PairDiff
    from dfgen.grade.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Candidate:
    """A repair that is being judged.

    Attributes:
        text: the repaired trajectory.
        original: the wrong trajectory.
        finish_reason: of the repairer's completion.
        measure: compares both texts; called at most once, and only if the cheap checks pass.
        judge: grades the repaired text; called at most once, last.
    """

    text: str
    original: str
    finish_reason: str
    measure: Callable[[], PairDiff]
    judge: Callable[[], Verdict]


def check_finished(candidate: Candidate, config: RepairConfig) -> str | None:
    """The repairer finished by itself."""
    if candidate.finish_reason == "length":
        return f"the repair was cut off at {config.decoding.max_tokens} tokens."
    if candidate.finish_reason != "stop":
        return f"the repairer stopped because of {candidate.finish_reason}."
    return None


def check_not_empty(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """There is a text."""
    return None if candidate.text.strip() else "the repair is empty."


def check_changed(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """It is not the wrong answer again."""
    if candidate.text == candidate.original:
        return "nothing was changed, but the answer is wrong."
    return None


def check_token_budget(candidate: Candidate, config: RepairConfig) -> str | None:
    """Few enough tokens changed for the difference to say which were wrong."""
    ratio = candidate.measure().quality.edit_ratio
    if ratio > config.max_edit_ratio:
        return (
            f"{ratio:.0%} of the tokens were changed, at most {config.max_edit_ratio:.0%} may be; "
            "keep everything that is right word for word."
        )
    return None


def check_step_budget(candidate: Candidate, config: RepairConfig) -> str | None:
    """Few enough steps changed."""
    ratio = candidate.measure().quality.step_edit_ratio
    if ratio > config.max_step_ratio:
        return f"{ratio:.0%} of the steps were changed, at most {config.max_step_ratio:.0%} may be."
    return None


def check_answer(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """The repaired answer is right."""
    verdict = candidate.judge()
    if verdict.correct:
        return None
    found = "no answer was found" if verdict.extracted is None else f"it is {verdict.extracted!r}"
    # The expected answer stays out of this sentence: a blind repairer is told it in the next try.
    return f"the repaired answer is still wrong: {found}."


Check = Callable[[Candidate, RepairConfig], "str | None"]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("not_finished", check_finished),
    ("empty", check_not_empty),
    ("unchanged", check_changed),
    ("over_token_budget", check_token_budget),
    ("over_step_budget", check_step_budget),
    ("answer_wrong", check_answer),
)


def judge_candidate(candidate: Candidate, config: RepairConfig) -> tuple[str, str]:
    """Code and detail of the first check that refuses, or `("accepted", "")`."""
    for code, check in CHECKS:
        detail = check(candidate, config)
        if detail is not None:
            return code, detail
    return "accepted", ""
