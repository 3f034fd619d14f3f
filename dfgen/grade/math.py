r"""Grades mathematics: symbolic equality through math-verify.

What goes to math-verify is the stated answer, where there is one: its own search would otherwise
also take numbers from the reasoning when the stated answer cannot be parsed.

math-verify bounds its own time with `signal.alarm`, which works only in the main thread of a
process; its documentation says to pass `parsing_timeout=None` and `timeout_seconds=None` elsewhere
and to bound the time oneself. dfgen kills the worker process (`GradePool`).
Source: https://github.com/huggingface/Math-Verify, version 0.9.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from dfgen.grade.canonical import write_canonical
from dfgen.grade.comparing import compare_values
from dfgen.grade.decimal_mark import guess_mark
from dfgen.grade.evaluate import UnvaluedError, evaluate, is_close
from dfgen.grade.expression import list_names, read_expression
from dfgen.grade.extract import (
    Extraction,
    extract_answer,
    find_visible_start,
    make_verdict,
    shorten,
)
from dfgen.grade.reading import read_values
from dfgen.grade.statements import find_boxes, find_last_row
from dfgen.grade.text_form import is_written_the_same
from dfgen.grade.values import Scalar

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig
    from dfgen.grade.verdict import Verdict

NAME = "math"
_TINY = 1e-3
_DELIMITED = re.compile(r"\$|\\\(|\\\[|\\boxed|\\fbox|\\begin")
_CONTENT = re.compile(r"[\d$\\]")
_LATEX = re.compile(r"[A-Za-z\\^_{}√π∞≤≥α-ω]")
_COMMAND = re.compile(r"\\[A-Za-z]+|\b(?:sqrt|sin|cos|tan|log|exp|max|min|mod|and|pct|percent)\b")
_PROSE = re.compile(r"[^\W\d_]{3,}\s+[^\W\d_]{2,}|[^\W\d_]{4,}(?![^{]*\})")


def _find_answer(completion: str, config: GradeConfig) -> Extraction:
    return extract_answer(
        completion,
        kind="text",
        overrules=lambda line: line.final and _CONTENT.search(line.text) is not None,
        fallback=config.fallback,
    )


def try_math(
    completion: str,
    answer: str,
    choices: Sequence[str],  # noqa: ARG001 - every grader has these arguments
    config: GradeConfig,
) -> Verdict | None:
    """Return the verdict where no algebra is needed, else None. Bounded in time.

    Only equality is decided here: the same writing, or the same plain number.
    """
    extraction = _find_answer(completion, config)
    if extraction.text is None:
        return make_verdict(NAME, False, extraction, answer, "no answer was found")
    if is_written_the_same(extraction.text, answer):
        return make_verdict(NAME, True, extraction, answer, "written the same")
    if _are_same_numbers(extraction.text, answer, completion, config):
        return make_verdict(NAME, True, extraction, answer, "the same number")
    return None


def _are_same_numbers(text: str, answer: str, completion: str, config: GradeConfig) -> bool:
    found = read_values(text, guess_mark(completion, config.decimal_mark).mark)
    expected = read_values(answer, guess_mark(answer, config.decimal_mark).mark)
    return any(
        isinstance(given, Scalar) and given.plain and isinstance(wanted, Scalar) and wanted.plain
        and compare_values(wanted, given, config).equal is True
        for given in found
        for wanted in expected
    )  # fmt: skip


def _are_apart(text: str, answer: str) -> bool:
    """Whether both are numbers near zero that rounding to some decimal places would make equal."""
    values: list[complex] = []
    for side in (answer, text):
        node = read_expression(write_canonical(side))
        if node is None or list_names(node):
            return False
        try:
            values.append(complex(evaluate(node)))
        except (UnvaluedError, OverflowError):
            return False
    size = max(abs(values[0]), abs(values[1]))
    return size < _TINY and not is_close(values[0], values[1], _TINY)


def wrap_mathematics(text: str, config: GradeConfig) -> str:
    """Return `text` in the delimiters without which math-verify does not see LaTeX.

    Without them "2x" would be read as its first number, 2.
    """
    stripped = text.strip()
    if _DELIMITED.search(stripped) or "latex" not in config.math_targets:
        return stripped
    if _PROSE.search(_COMMAND.sub(" ", stripped)):
        return stripped
    return f"${stripped}$" if _LATEX.search(stripped) else stripped


def _list_candidates(completion: str, extraction: Extraction, config: GradeConfig) -> Iterator[str]:
    """Yield the texts to compare, the most literal reading first."""
    if extraction.text is None:
        return
    if extraction.method == "boxed":
        boxes = find_boxes(completion, find_visible_start(completion))
        for loose in (False, True):
            start, end = find_last_row(completion, boxes, loose=loose)
            # What follows may be a percent sign or word.
            yield f"${completion[start:end].replace('$', ' ')}$" + completion[end : end + 12]
    elif extraction.method == "whole_text":
        visible = completion[find_visible_start(completion) :]
        yield wrap_mathematics(visible[-config.max_chars :], config)
    stated = extraction.text[-config.max_chars :]
    yield wrap_mathematics(stated, config)
    if _LATEX.search(stated):
        yield stated if _DELIMITED.search(stated) else f"${stated}$"


def grade_math(
    completion: str, answer: str, choices: Sequence[str], config: GradeConfig
) -> Verdict:
    """Grade mathematics. May hang inside sympy: `GradePool` runs it in a worker process."""
    verdict = try_math(completion, answer, choices, config)
    if verdict is not None:
        return verdict
    extraction = _find_answer(completion, config)
    expected = parse_mathematics(wrap_mathematics(answer, config), config)
    read = False
    for candidate in dict.fromkeys(_list_candidates(completion, extraction, config)):
        found = parse_mathematics(candidate, config)
        read = read or bool(found)
        if (
            found
            and are_equal(expected, found, config)
            and not _are_apart(extraction.text or "", answer)
        ):
            detail = f"{shorten(candidate)} equals {shorten(answer)}"
            return make_verdict(NAME, True, extraction, answer, detail)
    # The text as written: printing what sympy made of it can take longer than comparing it.
    relation = "does not equal" if read else "could not be read as mathematics, to compare with"
    detail = f"{shorten(extraction.text)} {relation} {shorten(answer)}"
    return make_verdict(NAME, False if read and expected else None, extraction, answer, detail)


def ask_algebra(found: str, expected: str, config: GradeConfig) -> tuple[bool | None, str]:
    """Return whether two short texts are the same mathematics, None where one cannot be read.

    May hang.
    """
    both = _read_both(config)
    left = parse_mathematics(wrap_mathematics(expected, both), both)
    right = parse_mathematics(wrap_mathematics(found, both), both)
    if not left or not right or all(isinstance(part, str) for part in (*left, *right)):
        return None, "could not be read as mathematics"
    if are_equal(left, right, both) and not _are_apart(found, expected):
        return True, "equals"
    return False, "does not equal"


def _read_both(config: GradeConfig) -> GradeConfig:
    """Return a configuration in which LaTeX and plain expressions are both read."""
    return config.model_copy(update={"math_targets": ("latex", "expr")})


class _DropTimeoutAdvice(logging.Filter):
    """The advice to bound the time oneself is followed, and would be printed in every process."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Timeout is disabled")


@cache
def load_engine() -> Any:
    """Import math-verify (sympy, ANTLR: a second or more) and parse once to warm its caches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside antlr4 and sympy are not ours
        import math_verify

    for name in ("math_verify.parser", "math_verify.grader"):
        logging.getLogger(name).addFilter(_DropTimeoutAdvice())
    math_verify.parse(r"$\frac{1}{2}$", parsing_timeout=None)
    return math_verify


def parse_mathematics(text: str, config: GradeConfig) -> list[Any]:
    """Return what math-verify reads in `text`: sympy objects, the raw string last. May hang."""
    engine = load_engine()
    configs = {
        "latex": engine.LatexExtractionConfig(),
        "expr": engine.ExprExtractionConfig(),
    }
    parsed: list[Any] = engine.parse(
        text, [configs[target] for target in config.math_targets], parsing_timeout=None
    )
    return parsed


def are_equal(expected: list[Any], found: list[Any], config: GradeConfig) -> bool:
    """Return whether any reading of both sides is the same mathematics. May hang."""
    return bool(
        load_engine().verify(
            expected,
            found,
            float_rounding=config.math_precision,
            strict=config.math_strict,
            allow_set_relation_comp=config.math_set_relations,
            timeout_seconds=None,
        )
    )
