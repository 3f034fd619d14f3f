"""Finds places in a completion that state an answer in so many words or marks."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
_LEADING = re.compile(r"(?:[\s*_`#:：]|(?<=\n)>){1,16}")
_LINE = re.compile(r"[^\n]{1,2000}")
_DISPLAY = re.compile(r"\s{0,8}(\$\$|\\\[)")
_CLOSING_DISPLAY = {"$$": "$$", "\\[": "\\]"}
_SENTENCE_END = re.compile(r"[.!?](?=[\s*_\"'”»)$<]|$)|[。！？]|(?=</[A-Za-z]{2,16}>|<\||◁/)")
# Reading a line is not free, and the last ones count: a text of nothing but "answer:" stays cheap.
_MOST_LINES = 24
_MOST_NESTED = 48
_DENIAL = re.compile(
    r"(?:(?<!\w)(?:not|isn't|rather than|instead of|nicht|не|pas)|≠|不是)[\s$(\\]{0,6}\Z",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"(?:(?<!\w)(?:whether|if|unsure|not sure|doubt|wonder|don't think|do not think|not believe"
    r"|(?:impossible|unlikely|not true|false|wrong) that)"
    r"|不确定|是否)"
    r"(?:\s(?:that|whether|if))?\s(?:the\s)?(?:final\s|correct\s)?\Z",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[\s*_(\[$]{0,6}[A-ZА-Я]")
_TAKEN_BACK = re.compile(
    r"[\s.]{0,4}(?:no,|no wait|wait|actually|hmm|scratch that|sorry|correction)", re.IGNORECASE
)
_EMPTY_SET = re.compile(r"\\\{\s?\\\}|[∅∞]")
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
    while end > start and completion[end - 1] in _TRIM and completion[end - 1] != "#":
        end -= 1
    if completion[end - 1 : end] == "}" and completion.count("}", start, end) > completion.count(
        "{", start, end
    ):
        end -= 1  # {"answer": 42}
        while end > start and completion[end - 1] in ' \n"':
            end -= 1
    text = completion[start:end]
    if not any(map(str.isalnum, text)) and not _EMPTY_SET.search(text):
        return None
    return Statement(text, method, (start, end), outer, final)


def find_boxed(completion: str, start: int = 0) -> list[Statement]:
    r"""Return what stands in `\boxed` and `\fbox`; boxes without a letter or digit are left out."""
    boxes = find_boxes(completion, start)
    # The last ones count, and of boxes in boxes the outermost bound the text that is looked at:
    # thousands of them, nested, would be copied again and again.
    kept = [*_list_outermost(boxes[:-_MOST_NESTED]), *boxes[-_MOST_NESTED:]]
    found = (
        _make(completion, "boxed", (box.inner_start, box.inner_end), (box.start, box.end))
        for box in kept
    )
    return [statement for statement in found if statement is not None]


def _list_outermost(boxes: list[Box]) -> list[Box]:
    outermost: list[Box] = []
    for box in boxes:
        if not outermost or box.start >= outermost[-1].end:
            outermost.append(box)
    return outermost


def is_denied(completion: str, start: int) -> bool:
    """Say whether what stands before `start` denies it: "(not $\\boxed{6}$)"."""
    return _DENIAL.search(completion, max(0, start - 24), start) is not None


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
        if _DOUBT.search(completion, max(start, match.start() - 40), match.start()):
            continue  # "I am not sure whether the answer is 7."
        span = _find_announced_span(completion, match.end(), stop)
        if completion.startswith("?", span[1]):
            continue  # a question states nothing
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
        if _LABEL.fullmatch(before) and completion[match.end() : end].strip(" *_$"):
            continue  # "C. 90,000": a letter and its text
        if _TAKEN_BACK.match(completion, match.end(), end):
            continue  # "42... wait, 24."
        if any(map(str.isalnum, before)) and not ABBREVIATION.search(before[-6:]):
            end = match.start()
            break
    trailing = TRAILING_WORDS.search(completion[start:end][-20:])
    if trailing:
        end -= min(20, end - start) - trailing.start()
    return start, end


# Two backslashes: completions that went through JSON twice.
_TOKEN = re.compile(r"\\{1,2}(?:boxed|fbox)\s{0,4}(?P<open>\{)|\\.|[{}]", re.DOTALL)
_BARE = re.compile(r"\\{1,2}(?:boxed|fbox)[ \t]{1,4}(?P<inner>[^\s{}$\\]{1,64})")
_LONGEST_GAP = 60
_JOINED = re.compile(
    r"(?:[\s$,;.()\\&{}\[\]]|quad|text|and|or|und|oder|et|ou|y|i|та|або|и|или|和|或|と)+",
    re.IGNORECASE,
)
_LOOSELY_JOINED = re.compile(r"[^\n]*(?:[,;]|\b(?:and|or|und|oder|et|ou|y|та|або|или)\b)[^\n]*")
_STOP = re.compile(r"[\n$]")


@dataclass(frozen=True, slots=True)
class Box:
    """Offsets in characters: the whole command and what it holds."""

    start: int
    end: int
    inner_start: int
    inner_end: int


def find_boxes(text: str, start: int = 0) -> list[Box]:
    """Return all boxes from `start` on, ordered by where they begin; a nested box is one too.

    The last box may lack its closing brace (truncated completions); it then ends with its line.
    """
    boxes: list[Box] = []
    stack: list[tuple[int, int] | None] = []
    for match in _TOKEN.finditer(text, start):
        if match["open"]:
            stack.append((match.start(), match.end()))
        elif match[0] == "{":
            stack.append(None)
        elif match[0] == "}" and stack:
            opened = stack.pop()
            if opened is not None:
                boxes.append(Box(opened[0], match.end(), opened[1], match.start()))
    still_open = [opened for opened in stack if opened is not None]
    if still_open:
        command, inner = still_open[-1]
        stop = _STOP.search(text, inner)
        end = stop.start() if stop else len(text)
        boxes.append(Box(command, end, inner, end))
    boxes.extend(
        Box(match.start(), match.end(), match.start("inner"), match.end("inner"))
        for match in _BARE.finditer(text, start)
    )
    return sorted(boxes, key=lambda box: (box.start, box.end))


def find_last_row(text: str, boxes: list[Box], *, loose: bool = False) -> tuple[int, int]:
    r"""Return the span of the last box and of the boxes joined to it by commas or words.

    `\boxed{1} and \boxed{2}` states one answer in two boxes; a box some sentences earlier does not
    belong to it. `loose` also joins boxes with a few other words around the comma or the "and".
    """
    joined = _LOOSELY_JOINED if loose else _JOINED
    start, end = boxes[-1].start, boxes[-1].end
    for box in reversed(boxes[:-1]):
        gap = text[box.end : start]
        if box.end > start or len(gap) > _LONGEST_GAP or not joined.fullmatch(gap):
            break
        start = box.start
    return start, end
