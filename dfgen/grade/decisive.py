# ruff: noqa: E501 - tables of words, one kind a line
"""Lists words that turn an answer into its opposite: am and pm, profit and loss, north, south."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import pairwise

# One line is one axis; words of one side against those of the others. A word of the reference must
# not meet one of another side in the answer; an answer that leaves the word out says nothing against it.
_AXES = (
    "am morning | pm evening afternoon night | noon midday | midnight",
    "ad ce | bc bce",
    "increase increased increases rise rose rises gain gained growth grew grow up upward upwards | "
    "decrease decreased decreases fall fell falls drop dropped decline declined reduction reduced lost lose down downward downwards",
    "profit profits gain gains surplus earn earns earned gained | loss losses lose loses lost losing deficit",
    "gained | lost",
    "credit | debit",
    "north northern northward northwards n | south southern southward southwards s | "
    "east eastern eastward eastwards e | west western westward westwards w | northeast ne north-east | "
    "northwest nw north-west | southeast se south-east | southwest sw south-west",
    "left leftward leftwards | right rightward rightwards | up upward upwards | down downward downwards",
    "upstairs | downstairs",
    "above over higher taller | below under beneath lower shorter",
    "more greater extra additional | fewer less",
    "before earlier ago previous previously | after later hence afterwards next now",
    "early | late",
    "ahead forward forwards | behind backward backwards back",
    "faster quicker | slower",
    "older elder | younger",
    "longer | shorter",
    "heavier | lighter",
    "wider | narrower",
    "hotter warmer | colder cooler",
    "bigger larger | smaller",
    "cheaper | dearer costlier pricier",
    "clockwise | counterclockwise anticlockwise counter-clockwise anti-clockwise",
    "inside inward inwards | outside outward outwards",
    "top | bottom",
    "front | rear back",
    "positive | negative",
    "win wins won victory victories | lose loses lost loss losses defeat defeats | draw draws drew tie ties tied",
    "deposit deposited | withdrawal withdrawn withdrew",
    "maximum max | minimum min",
    "horizontal horizontally | vertical vertically",
    "even | odd",
    "male males boys men | female females girls women",
    "input | output",
    "buy bought | sell sold",
    "discount | markup surcharge",
    "uphill | downhill",
    "height | depth",
    "上 | 下", "左 | 右", "东 | 西", "南 | 北", "增加 增长 上升 | 减少 下降", "盈利 | 亏损", "多 | 少", "前 | 后",
    "上午 | 下午",
    "більше | менше", "больше | меньше", "вгору | вниз", "прибуток | збиток", "північ | південь",
    "mehr | weniger", "links | rechts", "gewinn | verlust", "vor | nach", "plus | minus", "gauche | droite",
)  # fmt: skip


@cache
def _table() -> dict[str, frozenset[tuple[int, int]]]:
    table: dict[str, set[tuple[int, int]]] = {}
    for axis, line in enumerate(_AXES):
        for side, words in enumerate(line.split(" | ")):
            for word in words.split():
                table.setdefault(word, set()).add((axis, side))
    return {word: frozenset(places) for word, places in table.items()}


def is_decisive(word: str) -> bool:
    """Say whether a word, in lower case, has an opposite that would change an answer."""
    return word in _table()


def contradict(expected: Iterable[str], found: Iterable[str]) -> str | None:
    """Return the contradiction between the words of two answers as a clause, None for none.

    Args:
        expected: words of the reference answer, in lower case.
        found: words of the answer.
    """
    table = _table()
    given = list(found)
    if not given:
        return None
    for first, second in pairwise(given):
        winds = first in {"north", "south"} and second in {"east", "west"}
        if winds or (first in {"counter", "anti"} and second == "clockwise"):
            given = [word for word in given if word not in {first, second}] + [first + second]
    sides = {place for word in given for place in table.get(word, ())}
    for word in expected:
        if word in given:
            continue
        for axis, side in table.get(word, ()):
            if (axis, side) in sides or all(other != axis for other, _ in sides):
                continue
            other = next(w for w in given if any(a == axis for a, _ in table.get(w, ())))
            return f"{other!r} speaks against {word!r}"
    return None
