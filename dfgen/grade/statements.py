"""Places in a completion that state an answer in so many words or marks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dfgen.grade.boxed import find_boxes
from dfgen.grade.phrases import (
    ABBREVIATION,
    ANNOUNCEMENT,
    FINAL,
    HEADING,
    NEGATION,
    TRAILING_WORDS,
)

_TAG = re.compile(
    r"<(?P<close>/?) {0,2}(?:final[_ -]?)?answer {0,2}>|<\|(?P<kimi>begin|end)_of_solution\|>",
    re.IGNORECASE,
)
_LEADING = re.compile(r"[\s*_`>#:：]{1,16}")
_LINE = re.compile(r"[^\n]{1,2000}")
_DISPLAY = re.compile(r"\s{0,8}(\$\$|\\\[)")
_CLOSING_DISPLAY = {"$$": "$$", "\\[": "\\]"}
_SENTENCE_END = re.compile(r"[.!?](?=[\s*_\"'”»)$<]|$)|[。！？]|(?=</[A-Za-z]{2,16}>|<\||◁/)")
# Reading a line is not free, and the last ones count: a text of nothing but "answer:" stays cheap.
_MOST_LINES = 24
_TRIM = " \t\r\n*_`#"


@dataclass(frozen=True, slots=True)
class Statement:
    """One stated answer.

    Args:
        text: the answer as written, without the words around it.
        method: boxed, answer_tag or answer_line.
        span: offsets of `text` in the completion, in characters.
        outer: offsets of the answer with the marks or words that announce it.
        final: whether the announcing words call it the final answer.
    """

    text: str
    method: str
    span: tuple[int, int]
    outer: tuple[int, int]
    final: bool = False


def _make(
    completion: str, method: str, span: tuple[int, int], outer: tuple[int, int], final: bool = False
) -> Statement | None:
    start, end = span
    while start < end and completion[start] in _TRIM:
        start += 1
    while end > start and completion[end - 1] in _TRIM:
        end -= 1
    text = completion[start:end]
    if not any(map(str.isalnum, text)):
        return None
    return Statement(text, method, (start, end), outer, final)


def find_boxed(completion: str, start: int = 0) -> list[Statement]:
    r"""Return what stands in `\boxed` and `\fbox`; boxes without a letter or digit are left out."""
    found = (
        _make(completion, "boxed", (box.inner_start, box.inner_end), (box.start, box.end))
        for box in find_boxes(completion, start)
    )
    return [statement for statement in found if statement is not None]


def find_tagged(completion: str, start: int = 0) -> list[Statement]:
    """Return what stands in `<answer>` tags; the last one may be unclosed."""
    found: list[Statement | None] = []
    opened: re.Match[str] | None = None
    for match in _TAG.finditer(completion, start):
        closing = match["close"] == "/" or match["kimi"] == "end"
        if not closing:
            opened = match
        elif opened is not None:
            span = (opened.end(), match.start())
            found.append(_make(completion, "answer_tag", span, (opened.start(), match.end())))
            opened = None
    if opened is not None:
        span = (opened.end(), len(completion))
        found.append(_make(completion, "answer_tag", span, (opened.start(), len(completion))))
    return [statement for statement in found if statement is not None]


def find_announced(completion: str, start: int = 0, end: int | None = None) -> list[Statement]:
    """Return what follows "Answer:", "The answer is" and their like in other languages."""
    stop = len(completion) if end is None else end
    found: list[Statement] = []
    announced = [*ANNOUNCEMENT.finditer(completion, start, stop)]
    announced += HEADING.finditer(completion, start, stop)
    for match in sorted(announced, key=lambda match: match.start())[-_MOST_LINES:]:
        if NEGATION.match(completion, match.end(), stop):
            continue
        span = _find_announced_span(completion, match.end(), stop)
        # "Die endgültige Antwort": the adjective stands before what was matched.
        words = completion[max(0, match.start() - 16) : match.end()]
        final = FINAL.search(words) is not None
        statement = _make(completion, "answer_line", span, (match.start(), span[1]), final)
        if statement is not None:
            found.append(statement)
    return found


def _find_announced_span(completion: str, position: int, stop: int) -> tuple[int, int]:
    lead = _LEADING.match(completion, position, stop)
    start = lead.end() if lead else position
    display = _DISPLAY.match(completion, start, stop)
    if display:
        closing = completion.find(_CLOSING_DISPLAY[display[1]], display.end(), stop)
        if closing >= 0:
            return start, closing + 2
    line = _LINE.match(completion, start, stop)
    if line is None:
        return start, start
    end = line.end()
    for match in _SENTENCE_END.finditer(completion, start, end):
        before = completion[start : match.start()]
        if any(map(str.isalnum, before)) and not ABBREVIATION.search(before[-6:]):
            end = match.start()
            break
    trailing = TRAILING_WORDS.search(completion[start:end][-20:])
    if trailing:
        end -= min(20, end - start) - trailing.start()
    return start, end
