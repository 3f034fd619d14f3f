r"""Boxes of LaTeX: `\boxed{...}` and `\fbox{...}` with nested braces, in one linear pass."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
