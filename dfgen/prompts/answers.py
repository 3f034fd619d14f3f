"""Reads reference answers and solutions: text, whatever type a cell has."""

from __future__ import annotations

import datetime
import decimal
import math
from typing import Any

from dfgen.errors import RowError
from dfgen.prompts.columns import suggest_field

MOST_DECIMALS = 15
"""More than these a float does not have."""


def write_value(value: Any) -> str | None:
    """Return a single value as the text a person would write; None if there is none.

    3 and 3.0 are "3" (a column of whole numbers with gaps is often stored as floats), true is
    "true", a date is ISO 8601. Blanks at both ends are removed.

    Raises:
        TypeError: the value is no single value (struct, list, bytes).
    """
    if value is None or isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int | float | decimal.Decimal):
        text = _write_number(value)
    elif isinstance(value, datetime.date | datetime.time):
        text = value.isoformat()
    else:
        raise TypeError(f"a {type(value).__name__} is no single value")
    return (text or "").strip() or None


def _write_number(value: float | decimal.Decimal) -> str | None:
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return None
    if isinstance(value, decimal.Decimal):
        return f"{value:f}" if value != value.to_integral_value() else f"{value:.0f}"
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def read_answer(cell: Any, column: str | None = "answer") -> str:
    """Return the reference answer of a row as text.

    Of a list (several accepted answers) the first one counts; carry the column along as metadata
    to keep them all.

    Args:
        column: that holds the answer.

    Raises:
        RowError: answer_missing, answer_invalid.
    """
    value = cell
    if isinstance(cell, list):
        value = next((item for item in cell if item is not None), None)
    try:
        text = write_value(value)
    except TypeError as error:
        hint = ""
        if isinstance(cell, dict):
            hint = f": name one of its fields, such as {suggest_field(cell, column or 'answer')}"
        raise RowError("answer_invalid", f"the answer is not text: {error}{hint}") from error
    if text is None:
        raise RowError("answer_missing", "the answer is empty")
    return text


def read_solution(cell: Any) -> str | None:
    """Return the reference solution as text; the steps of a list become lines.

    Raises:
        RowError: solution_invalid.
    """
    try:
        if isinstance(cell, list):
            return "\n".join(filter(None, map(write_value, cell))) or None
        return write_value(cell)
    except TypeError as error:
        raise RowError("solution_invalid", f"the solution is not text: {error}") from error


def read_precision(cell: Any) -> int | None:
    """Return the decimals to which the reference answer of a row is stated; None: it says nothing.

    Raises:
        RowError: precision_invalid.
    """
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if math.isnan(number):  # how pandas writes an empty cell of a column of numbers
        return None
    if isinstance(cell, bool) or not number.is_integer() or not 0 <= number <= MOST_DECIMALS:
        raise RowError(
            "precision_invalid",
            f"the precision must be a number of decimals, 0 to {MOST_DECIMALS}, not {cell!r:.60}",
        )
    return int(number)
