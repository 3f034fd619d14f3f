"""Checks what a repair must pass to be accepted: one function per check, in one table.

A check returns None when the repair passes, else one sentence that says what is wrong; the same
sentence is kept with the attempt and told to the repairer in the next one. The table is in order of
cost: what needs the difference of both texts, and the verdict of a grader, comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dfgen.config.repair import RepairConfig
from dfgen.records import is_right
from dfgen.stages.repair.leak import find_leak, is_unsupported
from dfgen.stages.repair.wording import find_meta_talk, find_odd_character, find_other_language

if TYPE_CHECKING:
    from dfgen.diff.pair import PairDiff
    from dfgen.grade.verdict import Verdict
    from dfgen.stages.repair.parse import Proposal

_SHOWN = 80
# Times the original, plus so many characters: far beyond any budget of tokens.
_LONGER = 20
_MARGIN = 2000


@dataclass(frozen=True)
class Candidate:
    """A repair that is being judged.

    Attributes:
        proposal: what the repairer wrote, read.
        original: the wrong trajectory.
        finish_reason: of the repairer's completion.
        reference: the reference answer.
        choices: texts of a multiple choice question.
        measure: compares both texts; called at most once, and only if the cheap checks pass.
        judge: grades the repaired text; called at most once.
        answer_only: tells whether every edit lies where the final answer is stated.
    """

    proposal: Proposal
    original: str
    finish_reason: str
    reference: str
    choices: tuple[str, ...]
    measure: Callable[[], PairDiff]
    judge: Callable[[], Verdict]
    answer_only: Callable[[], bool]

    @cached_property
    def new_text(self) -> str:
        """The words that are new in the repair, the places apart from each other."""
        return "\n".join(hunk.right_text for hunk in self.measure().hunks if hunk.in_mask)


def check_finished(candidate: Candidate, config: RepairConfig) -> str | None:
    """Check that the repairer finished by itself."""
    if candidate.finish_reason == "length":
        return f"the repair was cut off at {config.decoding.max_tokens} tokens."
    if candidate.finish_reason != "stop":
        return f"the repairer stopped because of {candidate.finish_reason}."
    return None


def check_readable(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """Check that the output has the form that the protocol asks for."""
    return candidate.proposal.unreadable


def check_applies(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """Check that every edit has exactly one place in the text."""
    return candidate.proposal.inapplicable


def check_not_empty(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """There is a text."""
    return None if candidate.proposal.text.strip() else "the repair is empty."


def check_changed(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """It is not the wrong answer again."""
    if candidate.proposal.text == candidate.original:
        return "nothing was changed, but the answer is wrong."
    return None


def check_length(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """It is not so much longer that comparing both would only cost time."""
    if len(candidate.proposal.text) > _LONGER * len(candidate.original) + _MARGIN:
        return f"it is {len(candidate.proposal.text):,} characters long; change a few words only."
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


def check_hunk_budget(candidate: Candidate, config: RepairConfig) -> str | None:
    """Few enough separate edits."""
    count = candidate.measure().quality.n_hunks
    if config.max_hunks is not None and count > config.max_hunks:
        return f"{count} separate edits were made, at most {config.max_hunks} may be."
    return None


def check_meta_talk(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """It reads as if it had been written so at once."""
    found = find_meta_talk(candidate.new_text, candidate.original)
    return None if found is None else f"it speaks about the correction: {found[:_SHOWN]!r}."


def check_language(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """It is in the language of the answer."""
    found = find_other_language(candidate.new_text, candidate.original)
    return None if found is None else f"the new words are in another language ({found})."


def check_characters(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """No control or direction character came in."""
    found = find_odd_character(candidate.proposal.text, candidate.original)
    return None if found is None else f"it holds the control character {found}."


def check_answer(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """Check that the repaired answer is right."""
    verdict = candidate.judge()
    if is_right(verdict.reward):
        return None
    found = (
        "no answer was found"
        if verdict.extracted is None
        else f"it is {verdict.extracted[:_SHOWN]!r}"
    )
    # The expected answer stays out of this sentence: a blind repairer is told it in the next try.
    return f"the repaired answer is still wrong: {found}."


def check_reasoning(candidate: Candidate, config: RepairConfig) -> str | None:  # noqa: ARG001
    """Check that the reasoning leads to the new answer."""
    answer = candidate.judge().extracted or ""
    forms = [answer]
    letter = answer.strip(" ().*").upper()
    if len(letter) == 1 and 0 <= ord(letter) - ord("A") < len(candidate.choices):
        forms.append(candidate.choices[ord(letter) - ord("A")])
    if candidate.answer_only() and is_unsupported(candidate.measure(), forms):
        return "only the final answer was changed; correct the reasoning that leads to it."
    return None


def check_leak(candidate: Candidate, config: RepairConfig) -> str | None:
    """Check that the answer does not stand where nothing has led to it."""
    # A blind repairer has nothing to leak: what it says early it has seen for itself.
    if config.answer == "blind":
        return None
    found = find_leak(candidate.measure(), candidate.reference)
    if found is None:
        return None
    return f"it states the result before it is derived: {found[:_SHOWN]!r}."


Check = Callable[[Candidate, RepairConfig], "str | None"]

FORM_CHECKS: tuple[tuple[str, Check], ...] = (
    ("not_finished", check_finished),
    ("unreadable", check_readable),
    ("does_not_apply", check_applies),
    ("empty", check_not_empty),
    ("too_long", check_length),
)
"""What any answer of a repairer must pass to be compared with the text that it was given."""

CHECKS: tuple[tuple[str, Check], ...] = (
    *FORM_CHECKS,
    ("unchanged", check_changed),
    ("control_characters", check_characters),
    ("over_token_budget", check_token_budget),
    ("over_step_budget", check_step_budget),
    ("over_hunk_budget", check_hunk_budget),
    ("meta_talk", check_meta_talk),
    ("language", check_language),
    ("answer_wrong", check_answer),
    ("answer_only", check_reasoning),
    ("leak", check_leak),
)


def judge_candidate(candidate: Candidate, config: RepairConfig) -> tuple[str, str]:
    """Code and detail of the first check that refuses, or `("accepted", "")`.

    Raises:
        RowError: the two texts cannot be compared.
    """
    return _find_refusal(CHECKS, candidate, config) or ("accepted", "")


def find_flaw(candidate: Candidate, config: RepairConfig) -> tuple[str, str] | None:
    """Code and detail of why there is nothing to compare, or None."""
    return _find_refusal(FORM_CHECKS, candidate, config)


def _find_refusal(
    checks: Sequence[tuple[str, Check]], candidate: Candidate, config: RepairConfig
) -> tuple[str, str] | None:
    for code, check in checks:
        detail = None if code in config.allow else check(candidate, config)
        if detail is not None:
            return code, detail
    return None
