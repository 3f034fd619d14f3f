# ruff: noqa: E501 - tables of words
"""Finds the last number of a text without a stated answer, and whether a sentence concludes it."""

from __future__ import annotations

import re

from dfgen.grade.characters import fold_characters
from dfgen.grade.number_token import TOKEN, Mark
from dfgen.grade.number_words import read_number_words
from dfgen.grade.reading_scalar import read_number_at
from dfgen.grade.units import read_unit

_SEGMENT = re.compile(
    r"\$\$(?P<a>[^$]{1,500})\$\$|(?<!\\)\$(?P<b>[^$\n]{1,500})\$"
    r"|\\\((?P<c>[^\n]{1,500}?)\\\)|\\\[(?P<d>[^\[\]]{1,500})\\\]"
)
_PART_BEFORE = frozenset("{^_\\/")
_PART_AFTER = re.compile(r"[}^_{\\/]|[A-Za-zπ]")
_BEFORE = re.compile(r"\S{0,200}\Z")
_AFTER = re.compile(r"\S{0,200}")
_BLANK = re.compile(r"[ -]{0,2}")
_COMMAND = re.compile(r"\\(?:begin|end)\s?\{[a-z]+\*?\}|\\[A-Za-z]+")
_BEGINS_WITH_VALUE = re.compile(
    r"[\s$*(\[\\{]*[-+−–≈~<>≤≥]?\s?[$€£¥]?\s?(?:\d|\\?(?:frac|sqrt|begin)|√)"
)
_EMPTY_SET = re.compile(r"\\\{\s?\\\}|∅|\\(?:emptyset|varnothing|infty)|∞")
_LONGEST_UNIT = 40
_CONCLUDES = re.compile(
    r"(?<!\w)(?:is|are|was|were|be|equals?|makes?|making|gives?|giving|gets?|got|yields?|becomes?|ist|sind|beträgt|ergibt|gibt|est|sont|vaut|donne|es|son|hay"
    r"|è|é|є|це|это|равен|равна|равно|дорівнює|totals?|totall?ing|has|have|had|contains?|costs?|needs?|takes?|measures?|weighs?|remains?|remaining|leaves?|leaving"
    r"|find|found|obtain(?:ed)?|conclude|shows?|reads?|counts?|counted|see|so|thus|hence|therefore|altogether|total|left|choose|pick|select|answer|result|also|donc"
    r"|отже|тому|значит|следовательно|разом|всего|ran|walked|earned|paid|spent|sold|bought|made|drew|came|went|drove|ate|scored|comes?|amounts?)(?!\w)"
    r"|[=≈:→⇒∴]|是|为|為|等于|有|共|得|所以|因此|故|は|です|입니다",
    re.IGNORECASE,
)
_OPENS_NOTHING = re.compile(
    r"^\W*(?:let(?:'s| us| me)|first|next|now,? (?:let|we)|step|look(?:ing)?|consider|suppose|assume|if|recall|remember|note|we (?:look|need|must|should|will|can)"
    r"|i (?:think about|need|will|should)|to (?:find|solve|get|answer)|what|how|which|where|when|why|could|might|maybe|perhaps|since|because|given)(?!\w)",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"(?<!\w)(?:not|n't|cannot|can't|never|no way|fails? to|doubt\w*|whether|nor|neither|wrong|incorrect|unsure|maybe|perhaps|might|could|nicht|kein\w*|не|pas)(?!\w)|\?\s*$|不|吗",
    re.IGNORECASE,
)
_NOT_THAT = re.compile(r",\s(?:and\s)?not\s[^,.]{1,24}\.?$", re.IGNORECASE)  # "It is 15, not 16."
_COUNTED = re.compile(r"1(?:\s?[,;.、]\s?\d{1,3}){2,}\.?")
_PLAIN = re.compile(r"[^\w]*(?:[^\W\d_]+\s+){0,3}[-+$€£(\\]?\s?\\?\w")


def is_conclusion(sentence: str) -> bool:
    """Say whether a sentence states an answer unannounced: "We count 3 and 4, which makes 7."

    "In step 2 we look at the picture" concludes nothing, though a number stands in it; nor does
    what is denied, asked or doubted. A few words or a bare value conclude.
    """
    text = sentence.strip()
    if not any(map(str.isalnum, _COMMAND.sub("", text))) and not _EMPTY_SET.search(text):
        return False
    if not text or _OPENS_NOTHING.match(text):
        return False
    text = _NOT_THAT.sub("", text)
    if _DENIES.search(text) and not re.search(r"[:=]\s*\S", text):
        return False
    if len(re.findall(r"[^\W\d_]{2,}", _COMMAND.sub(" ", text))) <= 3 or _BEGINS_WITH_VALUE.match(
        text
    ):
        return True
    if read_number_words(text.lower()) is not None:
        return True
    return _CONCLUDES.search(text) is not None


def find_counted(sentence: str) -> str | None:
    """Return the last of "1, 2, 3, 4, 5": who counts aloud answers with the last number."""
    text = sentence.strip()
    if not _COUNTED.fullmatch(text):
        return None
    numbers = re.findall(r"\d+", text)
    return (
        numbers[-1]
        if [int(number) for number in numbers] == list(range(1, len(numbers) + 1))
        else None
    )


def find_last_quantity(completion: str, start: int, mark: Mark) -> tuple[int, int] | None:
    r"""Return the offsets of the last number from `start` on, with its sign and unit.

    A number that is part of an expression comes with all of it: the 3 of `$15\sqrt{3}$` is no
    answer by itself.
    """
    text = fold_characters(completion[start:])
    found = list_numbers(text, mark)
    if not found:
        return None
    begin, end = found[-1]
    if len(found) > 1 and text[found[-2][1] : begin].strip() in {"≈", "≃", "≅"}:
        begin = found[-2][0]  # the exact value comes before its rounding
    for match in _SEGMENT.finditer(text):
        if match.start() <= begin and end <= match.end():
            inner = next(name for name in "abcd" if match[name])
            return start + match.start(inner), start + match.end(inner)
    before = text[begin - 1] if begin else ""
    if before in _PART_BEFORE or _PART_AFTER.match(text, end):
        head = _BEFORE.search(text, max(0, begin - 200), begin)
        tail = _AFTER.match(text, end)
        begin = head.start() if head else begin
        end = tail.end() if tail else end
        end -= len(text[begin:end]) - len(text[begin:end].rstrip(".,;:!?"))
    return start + begin, start + end


def list_numbers(text: str, mark: Mark) -> list[tuple[int, int]]:
    """Return where the numbers of folded text stand, each with its sign and unit.

    Digits inside words (H2O, x1) and in exponents or indices are no quantities.
    """
    found: list[tuple[int, int]] = []
    position = 0
    while match := TOKEN.search(text, position):
        begin = match.start()
        before = text[begin - 1] if begin else ""
        if before.isalpha() or before in {"_", "^"}:
            position = match.end()
            continue
        while begin > position and text[begin - 1] in "-+$€£¥₴":
            begin -= 1
        if (
            begin
            and text[begin] in "-+"
            and (text[begin - 1].isalnum() or text[begin - 1] in ")]}")
        ):
            begin = match.start()  # a range or a difference, no sign
        # A bounded piece: a text of numbers is not copied for each of them.
        number = read_number_at(text[match.start() : match.start() + 400], 0, mark)
        if number is None:
            parts = list(re.finditer(r"[^,\s']+", match[0][:2000]))
            found.extend(
                (match.start() + part.start(), match.start() + part.end()) for part in parts
            )
            position = match.end()
            continue
        end = match.start() + number[1]
        blank = _BLANK.match(text, end)
        unit_start = blank.end() if blank else end
        if unit := read_unit(text[unit_start : unit_start + _LONGEST_UNIT]):
            end = unit_start + unit[1]
        found.append((begin, end))
        position = max(end, match.end())
    return found
