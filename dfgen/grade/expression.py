# ruff: noqa: E501, PLR0911, PLR0912 - tables of words, one return for each kind
r"""Reads mathematics: canonical text becomes a tree, or nothing at all.

The grammar is that of written answers: `2x`, `3\frac{1}{2}` (a mixed number), `\sin 2b \cos a`,
`4√2`, `14.0 + -1.0i`, `|x|`, `5!`, `\log_{10} 2`, `exp(16)`. A text of which a part remains unread
has no tree; nothing is skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from dfgen.grade.canonical import FUNCTIONS, SET_CLOSE, SET_OPEN
from dfgen.grade.number_token import TOKEN, Mark, read_number

_SPACE = re.compile(r"\s+")
_POWER_OF_TEN = re.compile(r"[eE]([+-]?\d{1,4})(?![\d.A-Za-z])")
_NAME = re.compile(r"[A-Za-zα-ωΑ-ΩℓħΩ]")
_WORD = re.compile(r"[A-Za-z]+")
_INDEX = re.compile(r"\s?_\s?(?:\{([^{}]{1,24})\}|([A-Za-z0-9]))")
_MIXED = re.compile(
    r"\s?(?:\\frac\s?\{?(\d{1,9})\}?\s?\{?(\d{1,9})\}?|\s(\d{1,9})\s?/\s?(\d{1,9})(?![\d.]))"
)
_TIGHT_FRACTION = re.compile(r"\\frac\s?(\d)\s?(\d)")
_OPEN = {"(": ")", "[": "]", "{": "}", SET_OPEN: SET_CLOSE}
_CONSTANTS = {
    "π": "pi",
    "pi": "pi",
    "e": "e",
    "i": "i",
    "∞": "inf",
    "inf": "inf",
    "infinity": "inf",
}
_CALLED = FUNCTIONS | {
    "sqrt",
    "abs",
    "cbrt",
    "floor",
    "ceil",
    "arcsin",
    "binom",
    "asin",
    "acos",
    "atan",
}
_OPAQUE = frozenset("fghFGHPQTW")
# Runs of letters that are products of variables, and not words.
_PRODUCT = re.compile(r"(?:[a-dk-nprt-z]{2,3}|[a-z])(?![A-Za-z])")
_NO_PRODUCTS = frozenset(
    [
        "and",
        "can",
        "cat",
        "but",
        "day",
        "man",
        "ran",
        "war",
        "way",
        "was",
        "any",
        "act",
        "add",
        "art",
        "bad",
        "bar",
        "car",
        "cut",
        "map",
        "may",
        "ray",
        "raw",
        "tax",
        "say",
        "sat",
        "try",
        "dry",
        "cry",
        "an",
        "am",
        "at",
        "as",
        "by",
        "my",
        "ax",
        "up",
        "us",
        "pm",
        "cm",
        "km",
        "mm",
        "ml",
        "kb",
        "mb",
        "rad",
        "deg",
        "kg",
        "hz",
    ]
)
_POINTS = re.compile(r"[A-Z]{2,4}(?![A-Za-z])")
# An arrow or a bar over a name is part of the name.
_DECORATED = re.compile(
    r"\\(overrightarrow|overleftarrow|overline|vec|hat|bar|widehat|tilde|dot|overset|arc|overarc)\s?\{?([A-Za-z0-9_' ]{1,12})\}?"
)
_DEEPEST = 60


@dataclass(frozen=True, slots=True)
class Node:
    """A tree: an operation with its arguments, or a leaf with a value or a name.

    Args:
        op: num, var, const, add, mul, div, pow, neg, fact, abs, deg, pm, log (base, argument), call.
        args: the arguments.
        value: of num.
        name: of var, const and call.
    """

    op: str
    args: tuple[Node, ...] = ()
    value: Fraction = Fraction(0)
    name: str = ""


class _UnreadError(Exception):
    """The text is no expression, or more than one."""


@lru_cache(maxsize=1024)
def read_expression(text: str, mark: Mark = "point") -> Node | None:
    """Return the tree of canonical text, None where any part of it cannot be read.

    Args:
        text: what `write_canonical` returned.
        mark: decimal mark for numbers that can be read in two ways.
    """
    parser = _Parser(text, mark)
    try:
        node = parser.read_sum()
    except (_UnreadError, RecursionError):
        return None
    return node if parser.at_end() else None


def list_names(node: Node) -> frozenset[str]:
    """Return the variables and opaque functions of a tree."""
    own = (
        frozenset({node.name})
        if node.op in {"var", "call"} and node.name not in _CALLED
        else frozenset()
    )
    return own.union(*(list_names(child) for child in node.args)) if node.args else own


def has_operation(node: Node, op: str) -> bool:
    """Say whether an operation occurs anywhere in a tree."""
    return node.op == op or any(has_operation(child, op) for child in node.args)


def choose_sign(node: Node, sign: int) -> Node:
    """Return the tree with every ± taken as plus (1) or minus (-1)."""
    if not node.args:
        return node
    args = tuple(choose_sign(child, sign) for child in node.args)
    if node.op == "pm":
        upper = sign if node.name == "±" else -sign
        last = args[-1] if upper > 0 else Node("neg", (args[-1],))
        return Node("add", (args[0], last)) if len(args) == 2 else last
    return Node(node.op, args, node.value, node.name)


class _Parser:
    def __init__(self, text: str, mark: Mark) -> None:
        self._text = text
        self._mark = mark
        self._at = 0
        self._depth = 0
        self._bars = 0

    def at_end(self) -> bool:
        return not self._text[self._at :].strip()

    def _skip(self) -> None:
        if match := _SPACE.match(self._text, self._at):
            self._at = match.end()

    def _peek(self) -> str:
        self._skip()
        return self._text[self._at : self._at + 1]

    def _take(self, signs: str) -> str:
        sign = self._peek()
        if sign and sign in signs:
            self._at += 1
            return sign
        return ""

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise _UnreadError

    def read_sum(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _UnreadError
        node: Node | None = None
        while True:
            sign = self._take("+-±∓")
            if not sign and node is not None:
                break
            term = self._read_product()
            if sign == "-":
                term = Node("neg", (term,))
            if sign and sign in "±∓":
                term = Node("pm", (term,) if node is None else (node, term), name=sign)
                node = term
            else:
                node = term if node is None else Node("add", (node, term))
        self._depth -= 1
        return node

    def _read_product(self) -> Node:
        node = self._read_signed()
        while True:
            if sign := self._take("*×·÷/"):
                factor = self._read_signed()
                node = Node("div" if sign in "÷/" else "mul", (node, factor))
            elif self._begins_factor():
                node = Node("mul", (node, self._read_power()))
            else:
                return node

    def _read_signed(self) -> Node:
        if self._take("-"):
            return Node("neg", (self._read_signed(),))
        self._take("+")
        return self._read_power()

    def _begins_factor(self) -> bool:
        sign = self._peek()
        if not sign or (sign == "|" and self._bars):
            return False
        if sign.isdigit() or sign == ".":  # "3 5" are two numbers, "2^3 4" too; (2)(3) is a product
            return False
        return (
            sign in "([{|√π∞⌊⌈" or bool(_NAME.match(sign)) or self._text.startswith("\\", self._at)
        )

    def _read_power(self) -> Node:
        base = self._read_postfix()
        if not self._take("^"):
            return base
        power = self._read_exponent()
        node = Node("pow", (base, power))
        return self._read_marks(node)

    def _read_exponent(self) -> Node:
        if self._peek() in _OPEN:
            return self._read_bracket()
        negative = self._take("-+") == "-"
        node = self._read_power()
        return Node("neg", (node,)) if negative else node

    def _read_postfix(self) -> Node:
        return self._read_marks(self._read_atom())

    def _read_marks(self, node: Node) -> Node:
        while True:
            if self._text.startswith("!", self._at):
                self._at += 1
                node = Node("fact", (node,))
            elif self._take("°"):
                node = Node("deg", (node,))
            else:
                return node

    def _read_bracket(self) -> Node:
        close = _OPEN[self._take("([{" + SET_OPEN)]
        bars, self._bars = self._bars, 0
        node = self.read_sum()
        self._bars = bars
        self._expect(close)
        return node

    def _read_atom(self) -> Node:
        sign = self._peek()
        if not sign:
            raise _UnreadError
        if sign.isdigit() or sign in ".,":
            return self._read_number()
        if sign in _OPEN:
            return self._read_bracket()
        if self._take("|"):
            self._bars += 1
            node = self.read_sum()
            self._bars -= 1
            self._expect("|")
            return Node("abs", (node,))
        if self._take("√"):
            return Node("pow", (self._read_root_argument(), _HALF))
        if self._take("⌊"):
            return self._close_call("floor", "⌋")
        if self._take("⌈"):
            return self._close_call("ceil", "⌉")
        if sign in "∞":
            self._at += 1
            return Node("const", name="inf")
        if sign == "\\":
            return self._read_command()
        return self._read_name()

    def _close_call(self, name: str, close: str) -> Node:
        node = self.read_sum()
        self._expect(close)
        return Node("call", (node,), name=name)

    def _read_number(self) -> Node:
        token = TOKEN.match(self._text, self._at)
        number = read_number(token[0], self._mark) if token else None
        if token is None or number is None:
            raise _UnreadError
        self._at = token.end()
        value = number.value
        if match := _POWER_OF_TEN.match(self._text, self._at):
            self._at = match.end()
            return Node("num", value=value * Fraction(10) ** int(match[1]))
        if value.denominator == 1 and (match := _MIXED.match(self._text, self._at)):
            top, bottom = int(match[1] or match[3]), int(match[2] or match[4])
            if not bottom:
                raise _UnreadError
            self._at = match.end()
            return Node("num", value=value + Fraction(top, bottom))
        return Node("num", value=value)

    def _read_group(self) -> Node:
        """An argument of a command: in braces, or one digit or letter."""
        if self._peek() in {"{", "("}:
            return self._read_bracket()
        sign = self._peek()
        if sign.isdigit():
            self._at += 1
            return Node("num", value=Fraction(int(sign)))
        return self._read_atom()

    def _read_root_argument(self) -> Node:
        if self._peek() in _OPEN:
            return self._read_bracket()
        if self._peek().isdigit():
            return self._read_number()
        return self._read_atom()

    def _read_command(self) -> Node:
        text, start = self._text, self._at
        if match := _TIGHT_FRACTION.match(text, start):
            self._at = match.end()
            return Node("div", (_number(int(match[1])), _number(int(match[2]))))
        if text.startswith("\\frac", start):
            self._at += 5
            return Node("div", (self._read_group(), self._read_group()))
        if text.startswith("\\sqrt", start):
            self._at += 5
            root = _HALF
            if self._take("["):
                root = Node("div", (_number(1), self.read_sum()))
                self._expect("]")
            return Node("pow", (self._read_root_argument(), root))
        if text.startswith("\\binom", start):
            self._at += 6
            return Node("call", (self._read_group(), self._read_group()), name="binom")
        if match := _DECORATED.match(text, start):
            self._at = match.end()
            return Node("var", name=match[1] + match[2].replace(" ", ""))
        raise _UnreadError

    def _read_name(self) -> Node:
        word = _WORD.match(self._text, self._at)
        if word is not None:
            lower = word[0] if len(word[0]) == 1 else word[0].lower()
            if lower in _CALLED and len(word[0]) > 1:
                self._at = word.end()
                return self._read_call(lower)
            if lower in _CONSTANTS and (len(lower) > 1 or not _INDEX.match(self._text, word.end())):
                self._at = word.end()
                return Node("const", name=_CONSTANTS[lower])
            for function in ("sqrt", "sin", "cos", "tan", "ln", "log"):  # xsin(x), and sqrt2
                if lower.startswith(function) and not lower[len(function) :]:
                    self._at += len(function)
                    return self._read_call(function)
            if points := _POINTS.match(self._text, self._at):
                self._at = points.end()
                return Node("var", name=points[0] + self._read_index())
            product = None if lower in _NO_PRODUCTS else _PRODUCT.match(self._text, self._at)
            if product is None and len(word[0]) > 1:
                if word[0].startswith("pi") and len(word[0]) <= 3:
                    self._at += 2
                    return Node("const", name="pi")
                raise _UnreadError
        match = _NAME.match(self._text, self._at)
        if match is None:
            raise _UnreadError
        name = match[0]
        self._at = match.end()
        if name in _CONSTANTS:
            return Node("const", name=_CONSTANTS[name])
        index = self._read_index()
        primes = 0
        while self._text.startswith("'", self._at):
            self._at += 1
            primes += 1
        if name in _OPAQUE and self._text.startswith("(", self._at):
            self._at += 1
            args = [self.read_sum()]
            while self._take(","):
                args.append(self.read_sum())
            self._expect(")")
            return Node("call", tuple(args), name=name + index + "'" * primes)
        return Node("var", name=name + index + "'" * primes)

    def _read_index(self) -> str:
        match = _INDEX.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return "_" + (match[1] or match[2]).replace(" ", "")

    def _read_call(self, name: str) -> Node:
        if name == "sqrt":
            return Node("pow", (self._read_root_argument(), _HALF))
        if name == "cbrt":
            return Node("pow", (self._read_root_argument(), Node("div", (_number(1), _number(3)))))
        base: Node | None = None
        if name == "log" and self._take("_"):
            base = self._read_group() if self._peek() in _OPEN else self._read_base()
        power: Node | None = None
        if self._take("^"):
            power = self._read_exponent()
        if self._peek() == "(":
            self._at += 1
            args = [self.read_sum()]
            while self._take(","):
                args.append(self.read_sum())
            self._expect(")")
        elif self._peek() in {"{", "["}:
            args = [self._read_bracket()]
        else:
            args = [self._read_argument()]
        node = (
            Node("log", (base, args[0]))
            if base is not None
            else Node("call", tuple(args), name=name)
        )
        if power is not None:
            node = Node("pow", (node, power))
        return node

    def _read_base(self) -> Node:
        token = re.compile(r"\d+").match(self._text, self._at)
        if token is None:
            return self._read_atom()
        # `\log_23` is base 2 of 3 in LaTeX, log_23 of a keyboard cannot be told from it.
        self._at = (
            token.start() + 1
            if len(token[0]) > 1 and self._text[token.end() :].strip() == ""
            else token.end()
        )
        return _number(int(self._text[token.start() : self._at]))

    def _read_argument(self) -> Node:
        """Without brackets a function takes the product that follows, up to the next function."""
        node = self._read_power()
        while self._begins_factor():
            word = _WORD.match(self._text, self._at)
            if word is not None and word[0].lower() in _CALLED:
                break
            if self._peek() in {"(", "["}:
                break
            node = Node("mul", (node, self._read_power()))
        if self._text.startswith("/", self._at) and node.op in {"const", "num", "var", "mul"}:
            self._at += 1
            node = Node("div", (node, self._read_power()))
        return node


def _number(value: int) -> Node:
    return Node("num", value=Fraction(value))


_HALF = Node("div", (_number(1), _number(2)))
