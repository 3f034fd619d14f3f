# ruff: noqa: E501, PLR0911, PLR0912 - tables of words, one return for each kind
"""Computes the value of an expression: exact where rational, else as a float, never unbounded.

Two expressions with variables are compared at several points (Schwartz-Zippel): polynomials that
agree at random points are the same but for a chance that is far below that of any other mistake.
Source: J. T. Schwartz, Fast probabilistic algorithms for verification of polynomial identities, 1980.
"""

from __future__ import annotations

import cmath
import math
import zlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Literal

from dfgen.grade.expression import Node, has_operation, list_names

Value = Fraction | complex
_MOST_BITS = 60_000
_LARGEST_FACTORIAL = 3000
_CLOSE = 1e-11
_APART = 1e-9
_SCALES = (1.0, 1.0, 31.0, 1013.0, 1e5)
"""Small and large points: beside a large constant small variables would not be seen."""
_CONSTANTS = {"pi": complex(math.pi), "e": complex(math.e), "i": 1j}
_TRIGONOMETRIC = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "arcsin": cmath.asin, "arccos": cmath.acos,
    "arctan": cmath.atan, "asin": cmath.asin, "acos": cmath.acos, "atan": cmath.atan,
    "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh, "exp": cmath.exp, "ln": cmath.log,
}  # fmt: skip
Sameness = Literal["same", "different", "unclear"]


class UnvaluedError(Exception):
    """No value that could be worked out in bounded time: infinite, too large, or undefined."""


def evaluate(
    node: Node, point: Mapping[str, complex] | None = None, log_base: float = 10.0
) -> Value:
    """Return the value of a tree.

    Args:
        node: the tree, without ±.
        point: values of its variables.
        log_base: the base of a `log` that names none.

    Raises:
        UnvaluedError: there is none, or it is too large.
    """
    try:
        value = _evaluate(node, point or {}, log_base)
    except (ArithmeticError, ValueError, TypeError, RecursionError) as error:
        raise UnvaluedError from error
    if isinstance(value, complex) and not (math.isfinite(value.real) and math.isfinite(value.imag)):
        raise UnvaluedError
    return value


def _evaluate(node: Node, point: Mapping[str, complex], log_base: float) -> Value:
    op = node.op
    if op == "num":
        return node.value
    if op == "var":
        return point[node.name] if node.name in point else _fail()
    if op == "const":
        return _CONSTANTS[node.name] if node.name in _CONSTANTS else _fail()
    args = [_evaluate(child, point, log_base) for child in node.args]
    if op == "neg":
        return -args[0]
    if op == "add":
        return _bound(args[0] + args[1]) if _exact(args) else complex(args[0]) + complex(args[1])
    if op == "mul":
        return _bound(args[0] * args[1]) if _exact(args) else complex(args[0]) * complex(args[1])
    if op == "div":
        return args[0] / args[1] if _exact(args) else complex(args[0]) / complex(args[1])
    if op == "pow":
        return _raise_to(args[0], args[1])
    if op == "abs":
        return abs(args[0]) if isinstance(args[0], Fraction) else complex(abs(args[0]))
    if op == "deg":
        return complex(args[0]) * math.pi / 180
    if op == "fact":
        number = args[0]
        if not isinstance(number, Fraction) or number.denominator != 1:
            return _fail()
        if not 0 <= number <= _LARGEST_FACTORIAL:
            return _fail()
        return Fraction(math.factorial(int(number)))
    if op == "log":
        return cmath.log(complex(args[1])) / cmath.log(complex(args[0]))
    return _call(node.name, args, log_base)


def _fail() -> Value:
    raise UnvaluedError


def _exact(args: list[Value]) -> bool:
    return all(isinstance(arg, Fraction) for arg in args)


def _bound(value: Value) -> Value:
    if not isinstance(value, Fraction):
        return value
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MOST_BITS:
        raise UnvaluedError
    return value


def _raise_to(base: Value, power: Value) -> Value:
    if isinstance(power, Fraction) and isinstance(base, Fraction):
        if power.denominator == 1:
            size = max(base.numerator.bit_length(), base.denominator.bit_length())
            if abs(power) * size > _MOST_BITS:
                raise UnvaluedError
            return base ** int(power)
        root = _take_root(base, power)
        if root is not None:
            return root
    return complex(base) ** complex(power)


def _take_root(base: Fraction, power: Fraction) -> Fraction | None:
    """The exact square or cube root where there is one: √25 is 5, not 5.000000000000001."""
    if power.denominator not in {2, 3} or (base < 0) or abs(power.numerator) > 8:
        return None
    if max(base.numerator.bit_length(), base.denominator.bit_length()) > 1000:
        return None
    parts = []
    for part in (base.numerator, base.denominator):
        root = math.isqrt(part) if power.denominator == 2 else round(part ** (1 / 3))
        if root**power.denominator != part:
            return None
        parts.append(root)
    return Fraction(parts[0], parts[1]) ** power.numerator if parts[0] or power > 0 else None


def _call(name: str, args: list[Value], log_base: float) -> Value:
    first = args[0]
    if name in _TRIGONOMETRIC and len(args) == 1:
        return _TRIGONOMETRIC[name](complex(first))
    if name in {"cot", "sec", "csc"} and len(args) == 1:
        inner = {"cot": cmath.tan, "sec": cmath.cos, "csc": cmath.sin}[name]
        return 1 / inner(complex(first))
    if name in {"log", "lg"} and len(args) == 1:
        return cmath.log(complex(first)) / math.log(log_base if name == "log" else 10)
    if name == "abs":
        return abs(first) if isinstance(first, Fraction) else complex(abs(first))
    if name in {"floor", "ceil"}:
        rounded = math.floor if name == "floor" else math.ceil
        return Fraction(rounded(first if isinstance(first, Fraction) else first.real))
    if name in {"max", "min", "gcd", "lcm", "binom"}:
        numbers = [arg for arg in args if isinstance(arg, Fraction)]
        if len(numbers) != len(args):
            raise UnvaluedError
        if name in {"max", "min"}:
            return max(numbers) if name == "max" else min(numbers)
        whole = [
            int(number) for number in numbers if number.denominator == 1 and abs(number) < 10**6
        ]
        if len(whole) != len(numbers):
            raise UnvaluedError
        if name == "binom":
            top, bottom = whole
            return Fraction(math.comb(top, bottom)) if top <= 2000 else _fail()
        return Fraction(math.gcd(*whole) if name == "gcd" else math.lcm(*whole))
    # An opaque function: the same name and arguments give the same pseudo-random value.
    mixed = complex(zlib.crc32(name.encode()) % 1009 / 997)
    for place, arg in enumerate(args, 1):
        mixed += cmath.sin(complex(arg) * (place + 0.37) + mixed)
    return mixed


def make_points(names: frozenset[str]) -> list[dict[str, complex]]:
    """Return points at which expressions are compared: five positive ones, then three of any sign."""
    points = []
    for round_number in range(8):
        point = {}
        scale = _SCALES[round_number % len(_SCALES)]
        for name in names:
            seed = zlib.crc32(f"{name}/{round_number}".encode())
            value = 0.3 + (seed % 100_003) / 100_003 * 2.4
            if round_number >= 5 and (seed >> 20) % 2 == round_number % 2:
                value = -value
            point[name] = complex(value * scale)
        points.append(point)
    return points


def is_close(left: Value, right: Value, limit: float = _CLOSE) -> bool:
    """Say whether two values are the same but for the noise of floating point."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    left, right = complex(left), complex(right)
    return abs(left - right) <= limit * max(abs(left), abs(right))


def compare_trees(left: Node, right: Node) -> Sameness:
    """Say whether two trees without ± are the same mathematics; unclear asks for real algebra."""
    names = list_names(left) | list_names(right)
    seen = 0
    for number, point in enumerate(make_points(names) if names else [{}]):
        try:
            here = [
                (evaluate(left, point, base), evaluate(right, point, base))
                for base in (10.0, math.e)
            ]
        except UnvaluedError:
            continue
        seen += 1
        if any(is_close(*pair) for pair in here):
            continue
        if number >= 5:
            one_sided = has_operation(left, "abs") != has_operation(right, "abs")
            if one_sided and all(_are_real(*pair) for pair in here):
                return "different"
            return "unclear"  # equal where all is positive: roots, logarithms, |x|
        apart = all(not is_close(*pair, limit=_APART) for pair in here)
        return "different" if apart else "unclear"
    return "same" if seen >= (3 if names else 1) else "unclear"


def _are_real(*values: Value) -> bool:
    return all(abs(complex(value).imag) < _CLOSE for value in values)


def compare_zeros(left: Node, right: Node) -> Sameness:
    """Say whether `left = 0` and `right = 0` are one equation: one is a multiple of the other."""
    names = list_names(left) | list_names(right)
    ratios: list[complex] = []
    for point in make_points(names)[:5]:
        try:
            top, bottom = complex(evaluate(left, point)), complex(evaluate(right, point))
        except (UnvaluedError, OverflowError):
            continue
        if abs(bottom) < 1e-12 or abs(top) < 1e-12:
            return "unclear"
        ratios.append(top / bottom)
    if len(ratios) < 3:
        return "unclear"
    return "same" if all(is_close(ratio, ratios[0]) for ratio in ratios) else "different"
