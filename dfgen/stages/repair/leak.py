"""Finds answers that no reasoning leads to: planted early, or put behind unchanged reasoning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dfgen.diff.hunks import Hunk
    from dfgen.diff.pair import PairDiff


_SENTENCE = re.compile(r"\n|[.!?。！？](?=\s|$)")
_DERIVES = re.compile(r"[=≈≃∑√]|\\(?:approx|frac|times|cdot|sqrt)|[+*/×÷]|\d\s*[-−]\s*\d")
#: Words of reasoning below which an answer counts as given without any.
_SOME_REASONING = 4
#: How far a sentence reaches, in characters.
_NEAR = 2000


def touches_only_answer(diff: PairDiff) -> bool:
    """Say whether every edit lies where the final answer is stated."""
    from dfgen.grade.extract import find_answer_spans

    spans = [
        (_to_bytes(diff.completion, start), _to_bytes(diff.completion, end))
        for start, end in find_answer_spans(diff.completion)
    ]
    return bool(diff.hunks) and all(
        any(start <= hunk.wrong_bytes[0] and hunk.wrong_bytes[1] <= end for start, end in spans)
        for hunk in diff.hunks
    )


def is_unsupported(diff: PairDiff, answers: Sequence[str]) -> bool:
    """Say whether an answer that alone was changed is nothing that the kept reasoning says.

    A slip in the last line (the reasoning has 5, the answer says 6) is repaired there and nowhere
    else; that is supported. An answer without reasoning needs none.

    Args:
        answers: the new answer in the forms it may have (a letter, and the choice it stands for).
    """
    reasoning = _take_reasoning(diff.repair)
    if len(reasoning.split()) < _SOME_REASONING:
        return False
    return not any(_states(reasoning, answer) for answer in answers)


def find_leak(diff: PairDiff, answer: str) -> str | None:
    """Find the reference answer in new text that does not derive it.

    Looked at is the first place of the repair, before the final answer, where the answer stands in
    any numerically equal form. It is no leak if that text was there before, if a value was put in
    the place of a value, or if its sentence computes.

    Returns:
        The sentence it stands in, or None.
    """
    from dfgen.grade.extract import find_answer_spans

    text = diff.repair
    spans = find_answer_spans(text)
    final = spans[-1][0] if spans else len(text)
    for start, end in find_equal(text, answer):
        if start >= final:
            return None
        hunk = _find_hunk(diff, _to_bytes(text, start), _to_bytes(text, end))
        if hunk is None or _held_value(hunk, answer):
            return None
        before, after = _take_sentence(text, start, end)
        if _DERIVES.search(f"{before} {after}"):
            return None
        return f"{before}{text[start:end]}{after}".strip()
    return None


def states_answer(text: str, answers: Sequence[str]) -> bool:
    """Say whether a text states one of the forms of an answer, a single letter as a word."""
    return any(_states(text, answer) for answer in answers)


def count_safe_edits(repair: str, edits: Sequence[tuple[int, int]], answers: Sequence[str]) -> int:
    """Count the edits, from the first on, that can be shown without showing the answer.

    An edit shows it if it lies where the final answer is stated, or if the answer stands in it in
    any form, possibly together with text around it. What was in the wrong answer already says
    nothing about being the answer.

    Args:
        repair: the whole repaired text.
        edits: UTF-8 byte spans of the edits in it, in order; that of a deletion is empty.
        answers: the reference answer in the forms it may have.
    """
    from dfgen.grade.extract import find_answer_spans

    places = find_answer_spans(repair)
    for answer in answers:
        places += find_equal(repair, answer)
    spans = [(_to_bytes(repair, start), _to_bytes(repair, end)) for start, end in places]
    data = repair.encode()
    for count, (start, end) in enumerate(edits):
        # A deletion has no width: it is in a place if its one point is.
        last = max(end, start + 1)
        if any(first < last and start < past for first, past in spans):
            return count
        if states_answer(data[start:end].decode(errors="replace"), answers):
            return count
    return len(edits)


def _find_hunk(diff: PairDiff, start: int, end: int) -> Hunk | None:
    for hunk in diff.hunks:
        if hunk.in_mask and hunk.right_bytes[0] < end and start < hunk.right_bytes[1]:
            return hunk
    return None


def _held_value(hunk: Hunk, answer: str) -> bool:
    return bool(find_values(hunk.wrong_text) if find_values(answer) else hunk.wrong_text.strip())


def _take_reasoning(text: str) -> str:
    from dfgen.grade.extract import find_answer_spans

    parts, at = [], 0
    for start, end in find_answer_spans(text):
        parts.append(text[at:start])
        at = end
    return "\n".join([*parts, text[at:]])


def _states(reasoning: str, answer: str) -> bool:
    if find_equal(reasoning, answer):
        return True
    word = answer.strip(" ().*")
    return len(word) == 1 and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", reasoning) is not None


def _take_sentence(text: str, start: int, end: int) -> tuple[str, str]:
    """What stands before and behind a place in its sentence, so far as it is near."""
    first = max(0, start - _NEAR)
    for match in _SENTENCE.finditer(text, first, start):
        first = match.end()
    last = _SENTENCE.search(text, end, end + _NEAR)
    return text[first:start], text[end : last.start() if last else end + _NEAR]


def _to_bytes(text: str, chars: int) -> int:
    return len(text[:chars].encode())


_DIGITS = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d{1,20})?|\d{1,20}(?:\.\d{1,20})?|\.\d{1,20}"
_NUMBER = re.compile(
    r"(?<![\w.\\])(?P<sign>[-−]\s?)?"
    r"(?:\\[dtc]?frac\{(?P<top>\d{1,12})\}\{(?P<bottom>\d{1,12})\}"
    rf"|(?P<number>{_DIGITS})(?:\s?/\s?(?P<over>\d{{1,12}})(?![\d.]))?)"
    r"(?![\w])(?P<percent>\s?\\?%)?"
)
_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
)
_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)


class Value(NamedTuple):
    """A number in a text: its place in characters and the values it may stand for."""

    start: int
    end: int
    values: frozenset[Fraction]


def find_values(text: str) -> list[Value]:
    """Find the numbers of a text in order. A percentage stands for both 50 and 0.5."""
    found = [Value(m.start(), m.end(), _read(m)) for m in _NUMBER.finditer(text)]
    found += [
        Value(m.start(), m.end(), frozenset({Fraction(_WORDS.index(m[0].lower()))}))
        for m in _WORD.finditer(text)
    ]
    return sorted(found)


def find_equal(text: str, answer: str) -> list[tuple[int, int]]:
    """Find where a text states an answer: a number in any form, else the words themselves.

    Returns:
        Places in characters. Empty for answers that say nothing by themselves (one letter).
    """
    wanted = [value for value in find_values(answer) if _is_whole(value, answer)]
    if wanted:
        return [(v.start, v.end) for v in find_values(text) if v.values & wanted[0].values]
    words = answer.strip()
    if len(words) < 3:
        return []
    pattern = re.compile(rf"(?<!\w){re.escape(words)}(?!\w)", re.IGNORECASE)
    return [match.span() for match in pattern.finditer(text)]


def _is_whole(value: Value, answer: str) -> bool:
    """Whether an answer is this number, give or take a unit."""
    rest = answer[: value.start] + answer[value.end :]
    return sum(char.isalnum() for char in rest) <= 4


def _read(match: re.Match[str]) -> frozenset[Fraction]:
    if match["top"]:
        bottom = int(match["bottom"])
        value = Fraction(int(match["top"]), bottom) if bottom else Fraction(int(match["top"]))
    else:
        value = Fraction(match["number"].replace(",", ""))
        if match["over"] and int(match["over"]):
            value /= int(match["over"])
    if match["sign"]:
        value = -value
    return frozenset({value, value / 100} if match["percent"] else {value})
