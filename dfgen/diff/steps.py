"""Cuts an answer into the steps of its reasoning.

In order of trust: tags (<think>, </answer>), "Step n:" marks, blank lines, headings and list items
(also 1. 2. 3. and ① ② ③ within a line), and where none of these is there, sentences. A sentence
does not end inside a formula, after an abbreviation, or at a decimal point. Fenced code is whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from dfgen.diff.defaults import fill_in_defaults
from dfgen.diff.spans import ByteMap, Span

if TYPE_CHECKING:
    from dfgen.config.mask import MaskConfig

#: step_ids are int16; whatever comes later belongs to the last step.
MAX_STEPS = 32_767

_TAG = re.compile(r"</?(?:think|thinking|reasoning|answer|solution|conclusion|summary|caption)>")
# "Step 3", "The final answer is:". Each pattern begins with letters that it can be searched by;
# what must stand before them is checked afterwards.
_STEP_MARKS = (re.compile(r"tep[ \t]+\d+\b"), re.compile(r"TEP[ \t]+\d+\b"))
_CHINESE_MARK = re.compile(
    r"第[ \t]?[一二三四五六七八九十\d]{1,3}[ \t]?步|步骤[ \t]?[一二三四五六七八九十\d]{1,3}"
)
_CHINESE_ANSWER = re.compile(r"(?:最终|最后)?答案[ \t]*(?:是|为)?[ \t]*[*_]*[:：]")
_ANSWER_MARKS = (
    re.compile(r"nswer[ \t]*(?:is)?[ \t]*[*_]*:"),
    re.compile(r"NSWER[ \t]*(?:IS)?[ \t]*[*_]*:"),
)
_FINAL = re.compile(r"(?i)(?:\bthe[ \t]+)?(?:\bfinal[ \t]+)?$")
_PARAGRAPH = re.compile(r"\n[ \t\r]*\n\s*")
_ITEM = re.compile(r"[ \t]*(?:[-*•+‣◦][ \t]+|\(?\d{1,3}[.)][ \t]+|#{1,6}[ \t]+)(?=\S)")
_HEADING = re.compile(r"#{1,6}[ \t]+(?=\S)")
_FENCE = re.compile(r"(?m)^[ \t]*(```|~~~)[^\n]*\n(?s:.*?)(?:^[ \t]*\1[ \t]*$|\Z)")
_INLINE_NUMBER = re.compile(r"(?<!\S)(?:(\d{1,2})[.)]|\((\d{1,2})\))[ \t]+(?=[^\W\d]|[*$\\\"'])")
_ROUND_NUMBER = re.compile(r"[①-⑳]")
_LINE = re.compile(r"\n\s*")
# All the first characters in front, which the regex engine then searches four times as fast.
_SENTENCE = re.compile(
    r"[.!?…。！？\n](?:"
    r"(?<=[.!?…])(?<![.!?…][.!?…])[.!?…]*+[\"'”’»)\]*_]*+(?=\s)\s*+(?![a-z])"
    r"|(?<=[。！？])[。！？]*+[”’」』）]*+\s*+"
    r"|(?<=\n)\s*+)"
)
# A formula is looked for over a limited length, so that signs that nothing closes cost no
# quadratic time; a single dollar sign closes on its line or is money.
_FORMULA = re.compile(
    r"\\\\|\\\$|\$\$(?s:.{1,2000}?)\$\$|\$[^$\n]{1,500}\$|\\\((?s:.{1,1000}?)\\\)|\\\[(?s:.{1,2000}?)\\\]"
)
_ABBREVIATION = re.compile(
    r"e\.g|i\.e|etc|cf|vs|approx|resp|ca|figs?|eqs?|nos?|drs?|mrs?|ms|prof|st|ch|vol|pp?|al|inc|co"
    r"|[js]r|z\.b|d\.h|bzw|usw|т\.[едп]|и\.т"
)


def split_steps(text: str, config: MaskConfig | None = None) -> list[Span]:
    """Cut a text into steps.

    Returns:
        Byte spans in UTF-8 that cover the text without gap or overlap; one empty span for "".
    """
    starts = find_step_starts(text, fill_in_defaults(config).steps)
    chars = ByteMap(text)
    offsets = chars.to_bytes([*starts, len(text)])
    return [Span(a, b) for a, b in pairwise(offsets)]


def find_step_starts(text: str, mode: str = "auto") -> list[int]:
    """Return the character at which each step begins; the first is 0."""
    starts = {0}
    for start, end in _split_at_tags(text):
        starts.add(start)
        starts.update(_split_section(text, start, end, mode))
    kept = sorted(start for start in starts if start < len(text) or start == 0)
    # White space alone is no step: a start with nothing but white space before it is dropped.
    if len(kept) > 1 and not text[: kept[1]].strip():
        del kept[1]
    return kept[:MAX_STEPS]


def _split_at_tags(text: str) -> list[tuple[int, int]]:
    cuts = [0]
    if "<" in text:
        for tag in _TAG.finditer(text):
            cuts.append(_skip_blank(text, tag.end()) if tag[0][1] == "/" else tag.start())
    cuts.append(len(text))
    return [(a, b) for a, b in pairwise(cuts) if a < b]


def _split_section(text: str, start: int, end: int, mode: str) -> list[int]:
    if mode == "lines":
        return [m.end() for m in _LINE.finditer(text, start, end)]
    fences = _find_fences(text, start, end)

    def leave(places: Iterable[int]) -> list[int]:
        """Leave out what lies inside fenced code."""
        return (
            [at for at in places if not any(a < at < b for a, b in fences)]
            if fences
            else (list(places))
        )

    if mode == "sentences":
        return leave(_find_sentences(text, start, end))
    paragraphs = leave(m.end() for m in _PARAGRAPH.finditer(text, start, end))
    if mode == "paragraphs":
        return paragraphs
    code = [at for a, b in fences for at in (_skip_blank(text, a), _skip_blank(text, b))]
    marks = _find_marks(text, start, end)
    places = leave(at for at, _ in marks)
    lines = _find_lines(text, start, end)
    if sum(is_step for _, is_step in marks) >= 2 and places:
        headings = (_skip_blank(text, at) for at in lines if _HEADING.match(text, at, end))
        return [*places, *leave(headings), *code]
    items = leave(_skip_blank(text, at) for at in lines if _ITEM.match(text, at, end))
    items += leave(_find_inline_items(text, start, end))
    if paragraphs or len(set(items)) >= 2:
        return [*paragraphs, *items, *places, *code]
    return [*leave(_find_sentences(text, start, end)), *code]


def _find_fences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    if "```" not in text and "~~~" not in text:
        return []
    return [match.span() for match in _FENCE.finditer(text, start, end)]


def _find_lines(text: str, start: int, end: int) -> list[int]:
    """Return where lines begin."""
    lines = [start] if start == 0 or text[start - 1] == "\n" else []
    at = text.find("\n", start, end)
    while at >= 0:
        lines.append(at + 1)
        at = text.find("\n", at + 1, end)
    return lines


def _find_inline_items(text: str, start: int, end: int) -> list[int]:
    """Return where 1. 2. 3. (or ① ② ③) number items within a line, in unbroken order.

    The first one opens a line or follows a colon or sentence: "by (1) and (2)" names equations.
    """
    places: list[int] = []
    numbers: list[tuple[int, int]] = []
    if "2." in text or "2)" in text:
        found = _INLINE_NUMBER.finditer(text, start, end)
        numbers = [(m.start(), int(m[1] or m[2])) for m in found]
    if not text.isascii():
        places += _find_sequence(
            text,
            start,
            [
                (m.start(), ord(m[0]) - ord("①") + 1)
                for m in _ROUND_NUMBER.finditer(text, start, end)
            ],
        )
    return places + _find_sequence(text, start, numbers)


def _find_sequence(text: str, start: int, numbers: list[tuple[int, int]]) -> list[int]:
    found: list[int] = []
    for at, number in numbers:
        if number == 1 and not found:
            before = text[max(start, at - 24) : at].rstrip(" \t")
            if not before or before[-1] in "\n:：.。!！?？;；":
                found.append(at)
        elif found and number == len(found) + 1:
            found.append(at)
    return found if len(found) >= 2 else []


def _skip_blank(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _find_marks(text: str, start: int, end: int) -> list[tuple[int, bool]]:
    """Return where "Step n" and "Answer:" begin a line or follow a sentence; True for steps."""
    marks: list[tuple[int, bool]] = []
    found = [(m.start() - 1, True) for p in _STEP_MARKS for m in p.finditer(text, start, end)]
    found += [(m.start() - 1, False) for p in _ANSWER_MARKS for m in p.finditer(text, start, end)]
    if "步" in text or "答案" in text:
        found += [(m.start(), True) for m in _CHINESE_MARK.finditer(text, start, end)]
        found += [(m.start(), False) for m in _CHINESE_ANSWER.finditer(text, start, end)]
    for at, is_step in sorted(found):
        if at < start or text[at] not in ("Ss第步" if is_step else "Aa最答"):
            continue
        if not is_step and text[at] in "Aa":
            final = _FINAL.search(text[max(start, at - 16) : at])
            at -= len(final[0]) if final else 0  # noqa: PLW2901
        first = at
        # Emphasis and heading signs belong to the mark: "**Step 1**", "## Answer:".
        while first > start and text[first - 1] in "*_#> \t":
            first -= 1
        before = text[first - 1] if first > start else "\n"
        follows = first < at or ord(text[at]) > 0x2E80  # Chinese has no blank there
        if before == "\n" or (follows and before in ".!?:;。)；！？：，"):
            marks.append((_skip_blank(text, first), is_step))
    return marks


def _find_sentences(text: str, start: int, end: int) -> list[int]:
    formulas = _find_formulas(text, start, end)
    found: list[int] = []
    formula = 0
    for match in _SENTENCE.finditer(text, start, end):
        at = match.start()
        while formula < len(formulas) and formulas[formula][1] <= at:
            formula += 1
        if formula < len(formulas) and formulas[formula][0] < at:
            continue
        if match[0][0] == "." and not _ends_sentence(text, start, at, match.end()):
            continue
        found.append(match.end())
    return found


def _ends_sentence(text: str, start: int, dot: int, after: int) -> bool:
    if "\n" in text[dot:after]:
        return True
    if after < len(text) and text[after].islower():
        return False
    words = text[max(start, dot - 24) : dot].split()
    word = words[-1].lstrip("([{\"'").lower() if words else ""
    if _ABBREVIATION.fullmatch(word) or (len(word) == 1 and word.isalpha() and word not in "aix"):
        return False
    # "1." at the start of a line numbers it.
    line = text.rfind("\n", max(start, dot - 24), dot) + 1 or max(start, dot - 24)
    return not (word.isdigit() and not text[line:dot].strip("0123456789 "))


def _find_formulas(text: str, start: int, end: int) -> list[tuple[int, int]]:
    if "$" not in text and "\\" not in text:
        return []
    found = [match.span() for match in _FORMULA.finditer(text, start, end)]
    return [(a, b) for a, b in found if b - a > 2]
