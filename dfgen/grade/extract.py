# ruff: noqa: E501, PLR0911 - tables of words, one return for each kind
"""Finds which part of a completion is its answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dfgen.grade.choice_label import find_last_label, read_label
from dfgen.grade.decimal_mark import guess_mark
from dfgen.grade.last_number import find_counted, find_last_quantity, is_conclusion
from dfgen.grade.statements import (
    Statement,
    find_announced,
    find_boxed,
    find_tagged,
    is_denied,
)
from dfgen.grade.verdict import Verdict

_CLOSE = re.compile(
    r"</ {0,2}(?:think|thinking|thought|thoughts|reasoning) {0,2}>"
    r"|◁/think▷|\[/THINK\]|<\|end_of_thought\|>",
    re.IGNORECASE,
)
_LAST_SENTENCE = re.compile(
    r"(?<!\bsq)(?<!\bft)(?<!\bca)(?<!\bNr)(?<!\bapprox)[.!?。！？]\s+|[。！？]|\n+"
)
_SHORT_LEAD = 8  # characters before "the answer is" inside of a box
_LONGEST_TEXT = 200  # characters of a completion that is itself the answer
_FALLBACK_WINDOW = 20_000  # characters from the end in which a fallback looks


class Extraction(NamedTuple):
    """The answer found.

    Args:
        text: None when there is none.
        method: see `Verdict.method`.
        span: offsets of `text` in the completion, in characters; None when there is none.
    """

    text: str | None
    method: str
    span: tuple[int, int] | None


NOTHING = Extraction(None, "none", None)


def find_statements(completion: str) -> tuple[list[Statement], list[Statement]]:
    """Return boxes and tags, and "Answer:" lines, after the thinking, each with the last first."""
    start = find_visible_start(completion)
    marked = [
        statement
        for statement in find_boxed(completion, start) + find_tagged(completion, start)
        if not is_denied(completion, statement.outer[0])
    ]
    marked.sort(key=lambda statement: statement.span)
    lines = find_announced(completion, start)
    return [_peel(completion, statement) for statement in reversed(marked)], lines[::-1]


def choose_statement(
    completion: str,
    accept: Callable[[str], bool] | None,
    overrules: Callable[[Statement], bool] | None,
) -> Statement | None:
    """Return the statement that counts, None when there is none.

    Boxes and tags are unmistakable and the last of them wins over "Answer:" lines, which also occur
    in the middle of a reasoning; of these the last one that can be read counts. But a line after
    the last box may have the last word: a box may hold an intermediate result.
    """
    marked, lines = find_statements(completion)
    if marked and overrules is not None:
        for line in lines:
            if line.outer[0] < marked[0].outer[1]:
                break
            if overrules(line):
                return line
    if marked:
        return marked[0]
    return next((line for line in lines if accept is None or accept(line.text)), None)


def _peel(completion: str, statement: Statement) -> Statement:
    """`<answer>The answer is 5</answer>` states 5."""
    inner = find_announced(completion, *statement.span)
    if not inner:
        return statement
    if statement.method == "boxed" and inner[-1].outer[0] > statement.span[0] + _SHORT_LEAD:
        return statement
    return Statement(inner[-1].text, statement.method, inner[-1].span, statement.outer)


def extract_answer(
    completion: str,
    *,
    kind: str = "text",
    labels: Sequence[str] = (),
    accept: Callable[[str], bool] | None = None,
    overrules: Callable[[Statement], bool] | None = None,
    fallback: bool = True,
    decimal_mark: str = "auto",
) -> Extraction:
    """Return the answer of a completion, where it was found and its offsets. Linear in its length.

    Args:
        completion: text of a policy; thinking is left out when something follows it.
        kind: what to fall back on without a stated answer: number, choice or text.
        labels: letters of the choices, for kind choice.
        accept: says whether an "Answer:" line can be read; lines that cannot are passed over.
        overrules: says whether an "Answer:" line after the last box or tag counts more than that.
        fallback: take the last number, choice or text when nothing is stated.
        decimal_mark: `GradeConfig.decimal_mark`, for kind number.
    """
    statement = choose_statement(completion, accept, overrules)
    if statement is not None:
        return Extraction(statement.text, statement.method, statement.span)
    if not fallback:
        return NOTHING
    start = max(find_visible_start(completion), len(completion) - _FALLBACK_WINDOW)
    if kind == "number":
        mark = guess_mark(completion, decimal_mark).mark
        span = find_last_quantity(completion, start, mark)
        if span is not None:
            return Extraction(completion[slice(*span)], "last_number", span)
    if kind == "choice" and not _names_several(completion[start:], labels):
        span = find_last_label(completion, start, labels)
        if span is not None:
            return Extraction(completion[slice(*span)], "last_choice", span)
    return _take_text(completion, find_visible_start(completion))


def extract_conclusion(
    completion: str,
    *,
    accept: Callable[[str], bool],
    overrules: Callable[[Statement], bool] | None = None,
    fallback: bool = True,
    last_number: bool = False,
    decimal_mark: str = "auto",
    reads: Callable[[str], bool] | None = None,
) -> Extraction:
    """Return the stated answer, or what the last sentence concludes.

    `reads` says whether a short text of several sentences can be read as one answer ("5 ft. 6 in.").

    Other than `extract_answer` this takes no number from a sentence that concludes nothing, unless
    `last_number` says so (`GradeConfig.last_number`).
    """
    statement = choose_statement(completion, accept, overrules)
    if statement is not None:
        return Extraction(statement.text, statement.method, statement.span)
    if not fallback:
        return NOTHING
    start = find_visible_start(completion)
    whole = _strip(completion, start, len(completion))
    last = find_last_sentence(completion, start)
    if whole[1] - whole[0] <= _LONGEST_TEXT and "\n" not in completion[slice(*whole)]:
        text = completion[slice(*whole)]
        if (whole == last or (reads is not None and reads(text))) and is_conclusion(text):
            return Extraction(text, "whole_text", whole)
    text = completion[slice(*last)]
    if counted := find_counted(text):
        end = last[0] + text.rindex(counted) + len(counted)
        return Extraction(counted, "last_number", (end - len(counted), end))
    if is_conclusion(text):
        return Extraction(text, "whole_text", last)
    if last_number:
        begin = max(start, len(completion) - _FALLBACK_WINDOW)
        span = find_last_quantity(completion, begin, guess_mark(completion, decimal_mark).mark)
        if span is not None:
            return Extraction(completion[slice(*span)], "last_number", span)
    return NOTHING


def _names_several(text: str, labels: Sequence[str]) -> bool:
    """A text that is nothing but "(A), (C)" has no last choice, it has two."""
    label = read_label(text, labels) if len(text) <= _LONGEST_TEXT else None
    return label is not None and len(label.indices) > 1


def _take_text(completion: str, start: int) -> Extraction:
    span = _strip(completion, start, len(completion))
    if span[1] - span[0] > _LONGEST_TEXT or "\n" in completion[slice(*span)]:
        span = find_last_sentence(completion, start)
    text = completion[slice(*span)]
    return Extraction(text, "whole_text", span) if text else NOTHING


def _strip(completion: str, start: int, end: int) -> tuple[int, int]:
    text = completion[start:end]
    left = len(text) - len(text.lstrip())
    return start + left, max(start + left, start + len(text.rstrip()))


def find_last_sentence(completion: str, start: int = 0) -> tuple[int, int]:
    """Return the offsets of the last sentence or line, without the white space around it."""
    begin, end = _strip(completion, start, len(completion))
    for match in _LAST_SENTENCE.finditer(completion, begin, max(begin, end - 1)):
        begin = match.end()
    return _strip(completion, begin, end)


def find_answer_spans(completion: str) -> list[tuple[int, int]]:
    r"""Return where the final answer is stated: boxes, tags, "Answer:" lines, the last sentence.

    Returns:
        Offsets in characters, ordered, disjoint; each span covers the marks or words that announce
        the answer too. Statements inside the thinking count, since a repair must not only touch
        them either.
    """
    found = [
        statement.outer
        for find in (find_boxed, find_tagged, find_announced)
        for statement in find(completion)
    ]
    last = find_last_sentence(completion, find_visible_start(completion))
    if last[0] < last[1]:
        found.append(last)
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def find_visible_start(completion: str) -> int:
    """Return the offset, in characters, at which the text after the thinking begins.

    Chat templates often open the thinking in the prompt, so a closing tag without an opening one
    counts too. A completion that ends with its thinking has nothing else to grade: 0.
    """
    end = 0
    for match in _CLOSE.finditer(completion):
        end = match.end()
    return end if completion[end:].strip() else 0


def make_verdict(
    grader: str, correct: bool | None, extraction: Extraction, expected: str, detail: str
) -> Verdict:
    """Return the verdict of a built-in grader, whose reward is 1 or 0; `correct` None: undecided."""
    return Verdict(
        correct=bool(correct),
        reward=1.0 if correct else 0.0,
        grader=grader,
        extracted=extraction.text,
        expected=expected,
        method=extraction.method,
        detail=detail,
        undecided=correct is None,
    )


def shorten(text: object, limit: int = 80) -> str:
    """Return `text` on one line, cut to `limit` characters, for a sentence of evidence."""
    line = " ".join(str(text)[: 4 * limit].split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
