"""Finding the number that a statement or a whole text gives as its answer."""

from __future__ import annotations

import re
from fractions import Fraction

from dfgen.grade.characters import fold_characters
from dfgen.grade.latex_text import to_plain_text
from dfgen.grade.number_token import TOKEN, Mark, read_number_word
from dfgen.grade.quantity import Quantity, prepare, read_quantity

LONGEST_STATEMENT = 2000  # characters; a longer statement is prose that states nothing
_LEAD = re.compile(
    r"(?:[\s\"'“”«»:;>~≈]|(?:about|approx(?:imately|\.)?|roughly|around|exactly|only|circa|ca\.|etwa"
    r"|ungefähr|rund|environ|aproximadamente|приблизно|примерно|约|約)(?!\w))+",
    re.IGNORECASE,
)
_PAIR = re.compile(r"[(\[{][^)\]}]*[,;][^)\]}]*[)\]}]")
_EQUALS = re.compile(r"(?<![<>!=])=(?!=)")
_APPROXIMATES = re.compile(r"≈|≃|≅|≒")
_MOST_PIECES = 4
_BOX = re.compile(r"\\(?:boxed|fbox)")
_SECOND_EQUATION = re.compile(
    r"(?:[,;]|\b(?:and|or|und|oder|et|ou|y)\b)\s*[^\W\d]\w{0,12}(?:\([^()=]{0,12}\))?\s*="
)
_EXPRESSION_LEFT = re.compile(r"[^\W\d][^=]*[+*/^]|[+*/^][^=]*[^\W\d]|\d\s?[A-Za-z]|\w-\w")
_OPERATOR = re.compile(
    r"\s*(?:[+*/^×·÷=<>≤≥±!|:\\_{√π⁰¹²³⁴-⁹]|[-–]\s*[\d(.\\]|\((?!\s*[^\W\d]{3}))"
)
_LIST = re.compile(
    r"\s*(?:[,;&]|[–-]|\b(?:and|or|to|und|oder|bis|et|ou|à|y|o|e|та|і|або|и|или|до)\b)+\s*[$€£]?[-+]?\d",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"\s?(?:[A-Za-z](?![A-Za-z])|pi(?![A-Za-z])|i(?![A-Za-z]))")
_REASON = re.compile(
    r"\s*(?:[,;.]\s|\(|\b(?:because|since|as|weil|denn|da|car|porque|perché|бо|оскільки|так как)\b)"
)
_ORDINAL = re.compile(r"(?:st|nd|rd|th)(?!\w)")
_MATHEMATICS = re.compile(r"[+*/^=\\{}_<>|×·÷±√π≤≥]")
_CLOSING = " \t\n.,;:!?)]}\"'“”«»。、！？"


def read_statement(text: str, mark: Mark) -> Quantity | None:
    """Return the one quantity that `text` states, None for an expression, a list or plain words.

    "x = 5 cm", "about 5", "(5)", "5, because 2 + 3 = 5" and "the area is 24" state one; "2x",
    "3, 5", "3:2" and "7 + d" do not. Of "1/3 ≈ 0.33" it is the exact one.

    Args:
        text: an extracted answer or a reference answer; LaTeX and Markdown are allowed.
        mark: decimal mark for numbers that can be read in two ways.
    """
    return next(iter(read_alternatives(text, mark)), None)


def read_alternatives(text: str, mark: Mark) -> list[Quantity]:
    """Return the exact quantity that `text` states and the rounded one, where it gives both."""
    if len(text) > LONGEST_STATEMENT or len(_BOX.findall(text)) > 1:
        return []
    plain = prepare(to_plain_text(text)).strip()
    if _SECOND_EQUATION.search(plain):
        return []
    pieces = [piece.strip() for piece in _APPROXIMATES.split(plain)[:_MOST_PIECES]]
    found = [_read_piece(piece, mark) for piece in pieces if piece]
    return [quantity for quantity in found if quantity is not None]


def _read_piece(plain: str, mark: Mark) -> Quantity | None:
    word = read_number_word(plain)
    if word is not None:
        return Quantity(Fraction(word), False, None, 0, len(plain), "")
    quantity = _read_leading(plain, mark)
    if quantity is not None and _REASON.match(plain, quantity.end):
        return quantity
    parts = _EQUALS.split(plain)
    if len(parts) > 1 and parts[-1].strip(_CLOSING):
        if _EXPRESSION_LEFT.search("=".join(parts[:-1])) and re.search(r"[^\W\d]", parts[-2]):
            return None
        plain = parts[-1].strip()
    return _read_leading(plain, mark) or _read_only_number(plain, mark)


def _read_leading(plain: str, mark: Mark) -> Quantity | None:
    lead = _LEAD.match(plain)
    start = lead.end() if lead else 0
    while start < len(plain) and plain[start] in "([{":
        if _PAIR.match(plain, start):
            return None
        start += 1
    quantity = read_quantity(plain, mark, start)
    if quantity is None:
        return None
    rest = plain[quantity.end :]
    if rest.startswith("!"):
        return None  # a factorial; sentence ends are cut before
    if not rest.strip(_CLOSING) or _ORDINAL.match(rest):
        return quantity
    if _OPERATOR.match(rest) or _LIST.match(rest.lstrip(")]}")) or _VARIABLE.match(rest):
        return None
    return quantity


def _read_only_number(plain: str, mark: Mark) -> Quantity | None:
    found = find_quantities(plain, mark)
    if not found or plain.lstrip()[:1].isdigit():
        return None
    between = plain
    for quantity in reversed(found):
        between = between[: quantity.start] + between[quantity.end :]
    if _MATHEMATICS.search(between) or _PAIR.search(plain):
        return None
    if _LIST.match(plain, found[0].end):
        return None
    return found[-1]


def find_quantities(text: str, mark: Mark) -> list[Quantity]:
    """Return the quantities of prepared text from left to right, with their offsets.

    Digits inside words (H2O, x1) and in exponents or indices are no quantities.
    """
    found: list[Quantity] = []
    position = 0
    while match := TOKEN.search(text, position):
        start = match.start()
        before = text[start - 1] if start else ""
        if before.isalpha() or before in {"_", "^"}:
            position = match.end()
            continue
        while start > position and text[start - 1] in "-+$€£¥₴":
            start -= 1
        if (
            start
            and text[start] in "-+"
            and (text[start - 1].isalnum() or text[start - 1] in ")]}")
        ):
            start = match.start()  # a range or a difference, no sign
        quantity = read_quantity(text, mark, start) or read_quantity(text, mark, match.start())
        if quantity is None:
            found.extend(_split_list(text, match, mark))
            position = match.end()
            continue
        found.append(quantity)
        position = max(quantity.end, match.end())
    return found


def _split_list(text: str, token: re.Match[str], mark: Mark) -> list[Quantity]:
    """ "1,2,3" is no number but three."""
    found = []
    for part in re.finditer(r"[^,\s']+", token[0][:LONGEST_STATEMENT]):
        quantity = read_quantity(
            text[: token.start() + part.end()], mark, token.start() + part.start()
        )
        if quantity is not None:
            found.append(quantity)
    return found


_SEGMENT = re.compile(
    r"\$\$(?P<a>[^$]{1,500})\$\$|(?<!\\)\$(?P<b>[^$\n]{1,500})\$"
    r"|\\\((?P<c>[^\n]{1,500}?)\\\)|\\\[(?P<d>[^\[\]]{1,500})\\\]"
)
_PART_BEFORE = frozenset("{^_\\/")
_PART_AFTER = re.compile(r"[}^_{\\/]|[A-Za-zπ]")
_BEFORE = re.compile(r"\S{0,200}\Z")
_AFTER = re.compile(r"\S{0,200}")


def find_last_quantity(completion: str, start: int, mark: Mark) -> tuple[int, int] | None:
    r"""Return the offsets of the last number from `start` on, with its sign and unit.

    A number that is part of an expression comes with all of it: the 3 of `$15\sqrt{3}$` is no
    answer by itself.
    """
    text = fold_characters(completion[start:])
    found = find_quantities(text, mark)
    if not found:
        return None
    begin, end = found[-1].start, found[-1].end
    if len(found) > 1 and text[found[-2].end : begin].strip() in {"≈", "≃", "≅"}:
        begin = found[-2].start  # the exact value comes before its rounding
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
