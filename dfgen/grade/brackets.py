"""Splits canonical text where no bracket is open."""

from __future__ import annotations

import re

from dfgen.grade.canonical import SET_CLOSE, SET_OPEN

_OPENING, CLOSING = "([{⟨" + SET_OPEN, ")]}⟩" + SET_CLOSE
_ENDS = " \t\n.,;:"


def trim(text: str) -> str:
    """Return canonical text without the marks that end a sentence; a factorial stays."""
    number = re.match(r"[\s:;]*([.,]\d)", text)
    text = text[number.start(1) :].rstrip(_ENDS) if number else text.strip(_ENDS)
    while text.endswith("!") and not re.search(r"[\d)}a-z]!$", text):
        text = text[:-1].rstrip(_ENDS)
    if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]:
        text = text[1:-1].strip(_ENDS)
    return text


def split_top(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the parts of `text` between matches of `pattern` that stand outside of brackets."""
    depth = measure_depth(text)
    if depth is None:
        return [text]
    parts, start = [], 0
    for match in pattern.finditer(text):
        if match.start() < start or depth[match.start()] or match.end() == match.start():
            continue
        parts.append(text[start : match.start()])
        start = match.end()
    return [*parts, text[start:]]


def measure_depth(text: str) -> list[int] | None:
    """Return how many brackets are open at each character; half-open intervals count as pairs."""
    depth, level = [], 0
    for character in text:
        if character in CLOSING:
            level -= 1
            if level < 0:
                return None
        depth.append(level)
        if character in _OPENING:
            level += 1
    return depth if level == 0 else None


def find_top(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the matches of `pattern` that stand outside of brackets."""
    depth = measure_depth(text)
    return [
        match[0] for match in pattern.finditer(text) if depth is None or not depth[match.start()]
    ]
