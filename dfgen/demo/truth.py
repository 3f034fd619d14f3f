"""Finds the ideal smallest repair of an answer, by rule.

Because the demo's questions come with the truth, and its answers follow a small grammar, the
smallest edit that makes every sentence true can be written down: the same wording with every
false value replaced. A mask made from a learned repair can then be compared with a perfect one.
"""

import re
from itertools import product
from typing import Any

from dfgen.demo.questions import (
    CONCLUSION_PHRASES,
    COUNT_PHRASES,
    EQUAL,
    RELATIONS,
    SORTS,
    Kind,
    assemble_answer,
    conclude,
)


def join_choices(words: tuple[str, ...]) -> str:
    """Return a regular expression that matches any of the words."""
    return "|".join(re.escape(word) for word in words)


def compile_grammar(kind: Kind) -> re.Pattern[str]:
    """Return the pattern of a complete answer of this kind, whatever its values."""
    lead = rf"(?P<lead{{}}>{join_choices(COUNT_PHRASES)})"
    count = rf"(?:{join_choices(SORTS)}): {lead} (?P<count{{}}>\d+)"
    if kind == "compare":
        statement = rf"\d+ is (?:{join_choices(RELATIONS)}) \d+"
        answer = join_choices((*SORTS, EQUAL))
    else:
        statement = rf"\d+ {'[+]' if kind == 'sum' else '-'} \d+ = \d+"
        answer = r"\d+"
    return re.compile(
        f"Step 1: {count.replace('{}', '1')}\\.\n"
        f"Step 2: {count.replace('{}', '2')}\\.\n"
        f"Step 3: (?P<lead3>{join_choices(CONCLUSION_PHRASES[kind])}) {statement}\\.\n"
        f"Answer: (?:{answer})"
    )


GRAMMARS: dict[Kind, re.Pattern[str]] = {kind: compile_grammar(kind) for kind in CONCLUSION_PHRASES}


def read_lead(match: re.Match[str]) -> tuple[str, str, str]:
    """Return the phrases of the three steps of a matched answer."""
    return match["lead1"], match["lead2"], match["lead3"]


def write_consequence(
    lead: tuple[str, str, str], truth: dict[str, Any], counts: tuple[int, int]
) -> str:
    """Write the answer that follows from these counts, worded with the phrases of three steps."""
    a, b = truth["sorts"]
    statement, answer = conclude(truth["kind"], a, b, counts[0], counts[1])
    return assemble_answer(
        lead, (f"{a}: {{}} {counts[0]}", f"{b}: {{}} {counts[1]}", statement, answer)
    )


def true_repair(completion: str, truth: dict[str, Any]) -> str | None:
    """Return the answer with every false value put right and every other word kept.

    Counts, sorts that were copied wrongly, numbers carried to the conclusion, the conclusion itself
    and the final answer are values; the phrases around them are wording. An answer that is true
    throughout is returned unchanged.

    Args:
        completion: the policy's text, without special tokens.
        truth: ``Scene.truth`` of its question.

    Returns:
        The repaired text, or None if the completion is not a complete answer in the grammar.
    """
    match = GRAMMARS[truth["kind"]].fullmatch(completion)
    if match is None:
        return None
    count_a, count_b = truth["counts"]
    return write_consequence(read_lead(match), truth, (count_a, count_b))


def closest_repair(completion: str, truth: dict[str, Any]) -> str:
    """Return the true answer, among all wordings, that is the fewest characters away.

    For an answer in the grammar this is ``true_repair``; for a garbled or unfinished one it is
    the best there is, and what the repairer is trained to give.
    """
    ideal = true_repair(completion, truth)
    if ideal is not None:
        return ideal
    kind: Kind = truth["kind"]
    count_a, count_b = truth["counts"]
    phrases = product(COUNT_PHRASES, COUNT_PHRASES, CONCLUSION_PHRASES[kind])
    candidates = [write_consequence(lead, truth, (count_a, count_b)) for lead in phrases]
    # Imported here: a trainer's environment trains on the demo without it.
    from rapidfuzz.distance import Levenshtein

    return min(candidates, key=lambda text: Levenshtein.distance(completion, text))


def is_consistent(completion: str, truth: dict[str, Any]) -> bool:
    """Say whether everything in an answer follows from its own two counts, right or wrong.

    A wrong answer that is consistent has nothing but miscounts at its root.
    """
    match = GRAMMARS[truth["kind"]].fullmatch(completion)
    if match is None:
        return False
    own = (int(match["count1"]), int(match["count2"]))
    return write_consequence(read_lead(match), truth, own) == completion


def find_counts(completion: str, kind: Kind) -> list[tuple[int, int]] | None:
    """Find where an answer says what it counted: [start, end) in UTF-8 bytes.

    A false value there is a mistake of looking; a false one anywhere else is not.

    Args:
        completion: the policy's text, without special tokens.
        kind: of its question.

    Returns:
        None if the completion is not a complete answer in the grammar.
    """
    match = GRAMMARS[kind].fullmatch(completion)
    # The grammar is ASCII: characters are bytes.
    return None if match is None else [match.span("count1"), match.span("count2")]
