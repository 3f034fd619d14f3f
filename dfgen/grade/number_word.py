"""Small numbers as words, where the word is the whole answer: "three" states 3."""

from __future__ import annotations

from functools import cache

# From zero on. In a sentence many of these are articles or pronouns (one, ein, un), so only an
# answer that consists of the word alone is read.
_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty",
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze",
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
    "нуль один два три чотири п'ять шість сім вісім дев'ять десять одинадцять дванадцять",
    "ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать",
    "零 一 二 三 四 五 六 七 八 九 十 十一 十二",
)


@cache
def _table() -> dict[str, int]:
    # Several languages share words ("six") but never with different values.
    return {word: value for line in _WORDS for value, word in enumerate(line.split())}


def read_number_word(text: str) -> int | None:
    """Return the value of a number word of en, de, fr, es, uk, ru or zh, None for other text."""
    return _table().get(text.strip(" .,;:!?\"'*()").casefold()) if len(text) <= 24 else None
