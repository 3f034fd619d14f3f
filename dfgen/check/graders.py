"""Checks the graders: can they be found and called, and do they know the reference answers?

A grader of a user's own is called as in a run, in a process that can be killed, on the reference
answers themselves: one that raises on all of them would fail on every answer of the policy, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dfgen.check.finding import Finding, describe_error
from dfgen.check.scope import REGRADE, Scope
from dfgen.errors import DfgenError
from dfgen.grade.grading import grade_inline, is_failure, resolve_name
from dfgen.grade.registry import is_built_in
from dfgen.grade.verdict import GradeItem
from dfgen.records import Prompt, is_right
from dfgen.stages.sample.draws import make_answer_key

_CALLS = 3
"""References on which a grader of a user's own is called; it may be slow."""

_GRADING = frozenset({"prompts", "sample", "repair", "value", REGRADE})


def check_graders(scope: Scope) -> Iterator[Finding]:
    """Find graders that do not exist, that fail, or that do not know the references as right."""
    from dfgen.grade.pool import GradePool

    config = scope.pipeline.grade
    if not _GRADING & set(scope.stages) or scope.pipeline.kind in ("pairs", "retokenized"):
        return
    by_grader: dict[str, list[Prompt]] = {}
    try:
        with GradePool(config):
            pass  # the name of `grade.grader` is looked up, and no process started
        for prompt in scope.rows.prompts:
            by_grader.setdefault(resolve_name(_make_item(prompt), config), []).append(prompt)
    except DfgenError as error:
        if error.where == "grade.grader":  # rows that cannot be read have findings of their own
            yield describe_error(error)
        return
    for name, prompts in by_grader.items():
        try:
            check = _check_built_in if is_built_in(name) else _check_own
            yield from check(name, prompts, scope)
        except DfgenError as error:
            yield describe_error(error)


def _check_own(name: str, prompts: Sequence[Prompt], scope: Scope) -> Iterator[Finding]:
    from dfgen.grade.pool import GradePool

    items = [_make_item(prompt) for prompt in prompts[:_CALLS]]
    with GradePool(scope.pipeline.grade) as pool:
        verdicts = list(pool.grade_many(items))
    failed = [v for v in verdicts if is_failure(v.undecided, v.extracted, v.detail)]
    if failed:
        yield Finding(
            "error" if len(failed) == len(verdicts) else "warning",
            f"the grader {name!r} failed on {len(failed)} of the first {len(verdicts)} reference "
            f"answers: {failed[0].detail}",
            "grade.grader",
            "It is called as grader(completion, answer, choices, config) and returns a "
            "dfgen.grade.Verdict.",
        )


def _check_built_in(name: str, prompts: Sequence[Prompt], scope: Scope) -> Iterator[Finding]:
    """A grader that does not know a reference as right when it is answered calls all wrong."""
    strangers = [prompt for prompt in prompts if not _knows(prompt, scope)]
    if strangers:
        first = strangers[0]
        yield Finding(
            "warning",
            f"the grader {name!r} does not take the reference answer itself for right in "
            f"{len(strangers):,} of the first {len(prompts):,} rows, such as {first.source}: "
            f"{first.answer!r:.80}.",
            "prompts.answer_type",
            "Every answer to such a question is wrong. Name a grader that reads such references, "
            "or mend them.",
        )


def _knows(prompt: Prompt, scope: Scope) -> bool:
    for form in ("Answer: {}", "{}", "\\boxed{{{}}}"):
        item = _make_item(prompt, form)
        verdict = grade_inline(item, scope.pipeline.grade)
        # What takes a process of its own (algebra) is left to the run.
        if verdict is None or is_right(verdict.reward):
            return True
    return False


def _make_item(prompt: Prompt, form: str = "Answer: {}") -> GradeItem:
    key = make_answer_key(prompt)
    return GradeItem(
        form.format(key.answer), key.answer, key.answer_type, tuple(key.choices), key.precision
    )
