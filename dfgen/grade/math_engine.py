"""math-verify, loaded late and asked in the way dfgen needs.

math-verify bounds its own time with `signal.alarm`, which works only in the main thread of a
process; its documentation says to pass `parsing_timeout=None` and `timeout_seconds=None` elsewhere
and to bound the time oneself. dfgen kills the worker process (`GradePool`).
Source: https://github.com/huggingface/Math-Verify, version 0.9.
"""

from __future__ import annotations

import logging
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfgen.config.grade import GradeConfig


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
