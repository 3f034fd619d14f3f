"""Words what is asked about a picture, and its answers.

Every kind of question names two sorts of objects, A and B. An answer counts A, counts B, draws a
conclusion from the two counts and states the result. How each step is worded is drawn at random,
so that a repair that keeps the wording can be told from a fresh answer.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["sum", "difference", "compare"]
KINDS: tuple[Kind, ...] = get_args(Kind)

COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("circle", "square", "triangle")
#: Plural names of the 12 sorts of objects; sort ``3 * colour + shape``.
SORTS = tuple(f"{colour} {shape}s" for colour in COLOURS for shape in SHAPES)
MAX_COUNT = 4

#: All variants of a slot have the same number of words: the wording never betrays the answer,
#: and a wrong answer and its ideal repair stay aligned word by word.
COUNT_PHRASES = ("I see", "there are", "image has", "counting gives")
CONCLUSION_PHRASES: dict[Kind, tuple[str, ...]] = {
    "sum": ("the sum is", "adding them gives", "this makes together"),
    "difference": ("the difference is", "subtracting them gives", "they differ by"),
    "compare": ("so I find", "this means that", "in other words"),
}
RELATIONS = ("more than", "fewer than", "equal to")
EQUAL = "equal"


@dataclass(frozen=True)
class Wording:
    """Which variant each step of an answer uses (indices into the phrase tables)."""

    first: int
    second: int
    conclusion: int


def write_question(kind: Kind, sort_a: int, sort_b: int) -> str:
    """Word the question of this kind about two sorts (indices into ``SORTS``)."""
    a, b = SORTS[sort_a], SORTS[sort_b]
    if kind == "sum":
        return f"How many {a} plus {b}?"
    if kind == "difference":
        return f"What is the difference between {a} and {b}?"
    return f"Are there more {a} or {b}?"


def conclude(kind: Kind, a: str, b: str, count_a: int, count_b: int) -> tuple[str, str]:
    """Return what follows from two counts: the conclusion's statement and the final answer.

    The statement is what stands after the conclusion phrase, for example ``3 + 2 = 5``.
    """
    if kind == "sum":
        total = str(count_a + count_b)
        return f"{count_a} + {count_b} = {total}", total
    if kind == "difference":
        high, low = max(count_a, count_b), min(count_a, count_b)
        return f"{high} - {low} = {high - low}", str(high - low)
    if count_a == count_b:
        return f"{count_a} is equal to {count_b}", EQUAL
    if count_a > count_b:
        return f"{count_a} is more than {count_b}", a
    return f"{count_a} is fewer than {count_b}", b


def assemble_answer(lead: tuple[str, str, str], parts: tuple[str, str, str, str]) -> str:
    """Join the phrases and the values of an answer; the one place that knows its layout.

    Args:
        lead: the phrases of the three steps.
        parts: sort and count of step 1 (``red circles: {} 3`` with ``{}`` for the phrase), the
            same of step 2, the statement of step 3, and the final answer.
    """
    first, second, statement, answer = parts
    return (
        f"Step 1: {first.format(lead[0])}.\n"
        f"Step 2: {second.format(lead[1])}.\n"
        f"Step 3: {lead[2]} {statement}.\n"
        f"Answer: {answer}"
    )


def write_answer(
    kind: Kind, sorts: tuple[int, int], counts: tuple[int, int], wording: Wording
) -> str:
    """Write the whole answer that follows from two counts, right or wrong, in a given wording."""
    a, b = SORTS[sorts[0]], SORTS[sorts[1]]
    statement, answer = conclude(kind, a, b, counts[0], counts[1])
    lead = (
        COUNT_PHRASES[wording.first],
        COUNT_PHRASES[wording.second],
        CONCLUSION_PHRASES[kind][wording.conclusion],
    )
    parts = (f"{a}: {{}} {counts[0]}", f"{b}: {{}} {counts[1]}", statement, answer)
    return assemble_answer(lead, parts)
