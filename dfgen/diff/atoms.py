r"""Cuts a text into the units that are right or wrong as a whole.

A word, a number, a LaTeX command. White space belongs to no unit: it can change without any unit
changing, so it never disturbs the alignment. Units are compared by their text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from operator import sub

import numpy as np
from numpy.typing import NDArray

from dfgen.diff.chinese import HAN, split_words
from dfgen.diff.spans import ByteMap

#: Characters that separate units. Zero-width ones count.
_ASCII_BLANKS = "\t\n\v\f\r\x1c\x1d\x1e\x1f "
_BLANKS = (
    _ASCII_BLANKS
    + "\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\u2060\ufeff"
)
_HAN = re.compile(rf"[{HAN}]")
_TWO_HAN = re.compile(rf"[{HAN}]{{2}}")
_LONGEST_SPACED = 8


@dataclass(frozen=True)
class Units:
    """The units of one text.

    Attributes:
        text: the text they were cut from.
        keys: length N, the text of each unit; what alignment compares.
        starts: length N + 1, character offset of each unit; the last is the end of the text.
        ends: length N + 1, character offset behind each unit; the last is the end of the text.
    """

    text: str
    keys: list[str]
    starts: list[int]
    ends: list[int]

    def __len__(self) -> int:
        return len(self.keys)

    def end_before(self, index: int) -> int:
        """Return where the unit before `index` ends: the start of the white space before it."""
        return self.ends[index - 1] if index else 0

    def blank_before(self, index: int) -> str:
        """Return the white space before a unit, or at the end of the text."""
        return self.text[self.ends[index - 1] if index else 0 : self.starts[index]]


# Every alternative begins with a plain character class: the regex engine skips those whose first
# character does not fit without trying them, which halves the time.
_NUMBER = (
    r"\d(?:\d{0,2}(?:(?:,|\{,\}|\\,|[\u00a0\u202f])\d{3})+(?!\d)(?:\.\d+)?"  # 1,234.5  1{,}234
    r"|\d*+(?:\.\d++)?/\d++(?!\w)"  # 3/4
    r"|\d*+(?::\d\d)++(?!\d)"  # 12:30
    r"|\d*+(?:\.\d*+)?[eE][+-]?\d++(?!\w)"  # 1.5e-3
    r"|\d*+(?:st|nd|rd|th)(?!\w)"  # 34th
    r"|\d*+(?:\.\d++)*+)"  # 3.14
    r"|\.\d+"  # .5
)
_SIGN = r"[!\"%&'()+,\-/:;=>?@\[\]^{|}~]"
_COMMAND = (
    r"\\(?:[dtc]?frac(?:\{\d+\}\{\d+\}|\s?\d\s?\d(?!\d))"  # a fraction is one number
    r"|[A-Za-z]+\*?|\S)"
)
_REST = r"</?[A-Za-z]\w*>|\*+|\$+|_+|#+|`+|\.\.+|<\|\w+\|>"


def _build_pattern(letter: str, body: str, single: str, blanks: str) -> str:
    # A hyphen or underscore joins only longer parts, so that a-b in a formula stays three; one left
    # over at the end ("Banditen- und Rebellengruppen") is part of its word.
    word = (
        rf"{letter}{body}*+(?:(?=['’ʼ‐‑_-])"
        rf"(?:['’ʼ]{body}++|(?<=\w\w)[-‐‑_](?={letter}{letter}){body}++)*+"
        r"(?:(?<=\w\w)[-‐‑](?!\S))?)?"
    )
    units = f"{word}|{_SIGN}|{_NUMBER}|{single}{_COMMAND}|{_REST}|[^{blanks}]"
    return rf"[{blanks}]*+(?:{units})"


@cache
def _ascii_pattern() -> re.Pattern[str]:
    """Return the same pattern for plain ASCII, which takes half the time.

    Most units are a word with one blank in front and nothing behind that could join it: tried
    first, they take another third off.
    """
    units = _build_pattern("[A-Za-z]", "[A-Za-z0-9]", "", _ASCII_BLANKS)
    return re.compile(rf" ?(?:[A-Za-z][A-Za-z0-9]*+(?=[\s.,:;])|{units})", re.ASCII)


@cache
def _pattern() -> re.Pattern[str]:
    # Scripts written without blanks between words: one character (and its marks) is a unit.
    ideographs = r"\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    clusters = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    letter = rf"[^\W\d_{ideographs}{clusters}]"
    body = rf"(?:[^\W_{ideographs}{clusters}]|{_marks()})"
    single = rf"[{ideographs}]|[{clusters}]{_marks()}*|"
    return re.compile(_build_pattern(letter, body, single, _BLANKS))


@cache
def _marks() -> str:
    """Return a character class of combining marks, which Python's \\w leaves out."""
    import unicodedata

    ranges: list[tuple[int, int]] = []
    for code in (*range(0x300, 0x2000), *range(0x20D0, 0x2100), *range(0xA800, 0xAC00)):
        if unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    joiners = r"\u200c\u200d\ufe00-\ufe0f"
    return "[" + "".join(rf"\u{a:04x}-\u{b:04x}" for a, b in ranges) + joiners + "]"


def split_atoms(text: str, spaced: bool = False) -> Units:
    """Cut a text into atoms. Linear in the length of the text.

    Args:
        text: any.
        spaced: blanks stand between the words of Chinese text, which then need no search.
    """
    # Each unit is found with the blanks in front of it; blanks behind the last one are cut off
    # first, or the search would start anew at each of them.
    if text.isascii():
        found: list[str] = _ascii_pattern().findall(text.rstrip())
        # Without an argument `lstrip` drops just the ASCII blanks here, and is twice as fast.
        keys = list(map(str.lstrip, found))
    else:
        found = _pattern().findall(text.rstrip(_BLANKS))
        if _TWO_HAN.search(text):
            found = _join_han(found, spaced)
        keys = [unit.lstrip(_BLANKS) for unit in found]
    ends = list(accumulate(map(len, found)))
    starts = list(map(sub, ends, map(len, keys)))
    starts.append(len(text))
    ends.append(len(text))
    return Units(text, keys, starts, ends)


def _join_han(found: list[str], spaced: bool) -> list[str]:
    """Join Chinese characters, found one by one, to words."""
    joined: list[str] = []
    run = ""
    for unit in found:
        if run and _HAN.fullmatch(unit):
            run += unit
            continue
        if run:
            joined += _split_run(run, spaced)
            run = ""
        if _HAN.fullmatch(unit[-1]) and not unit[:-1].strip(_BLANKS):
            run = unit
        else:
            joined.append(unit)
    return joined + _split_run(run, spaced)


def _split_run(run: str, spaced: bool) -> list[str]:
    if not run:
        return []
    text = run.lstrip(_BLANKS)
    words = [text] if spaced and len(text) <= _LONGEST_SPACED else split_words(text)
    words[0] = run[: len(run) - len(text)] + words[0]
    return words


def split_tokens(text: str, offsets: NDArray[np.int32], chars: ByteMap) -> Units:
    """Cut a text at its tokens, tokens that share a character together.

    Args:
        text: the decoded text.
        offsets: int32[T+1], byte offset of each token.
        chars: the byte map of `text`.
    """
    places, whole = chars.to_chars(offsets)
    cuts = np.unique(places[whole]).tolist()
    if not cuts or cuts[0] != 0:
        cuts.insert(0, 0)
    if cuts[-1] != len(text):
        cuts.append(len(text))
    starts = cuts if len(cuts) > 1 else [0]
    keys = [text[a:b] for a, b in pairwise(starts)]
    return Units(text, keys, list(starts), [*starts[1:], len(text)])
