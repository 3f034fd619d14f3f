"""Judges and repairs answers to chains by rule, because the truth about every line is known."""

from __future__ import annotations

import re

from dfgen.demo.questions import COLOURS, SHAPES
from tests.benchmarks.study.chains import ADD_PHRASES, WALK, Chain

_ADD = "|".join(ADD_PHRASES)
_LINES = {
    kind: re.compile(rf"(\d+) ({'|'.join(seen)}|empty), ({_ADD}) (\d+)")
    for kind, seen in (("shapes", SHAPES), ("colours", COLOURS), ("count", COLOURS))
}
_ANSWER = re.compile(r"Answer: (\d+)")


def is_right(chain: Chain, text: str) -> bool:
    """Say whether an answer ends with the right number; all that a grader sees."""
    return text.endswith(f"\nAnswer: {chain.answer}")


def read_chain(chain: Chain, text: str) -> list[re.Match[str]] | None:
    """Read the lines of an answer, its last one too; None for one outside the grammar."""
    *lines, last = text.split("\n")
    found = [_LINES[chain.kind].fullmatch(line) for line in lines]
    found.append(_ANSWER.fullmatch(last))
    read = [match for match in found if match is not None]
    return read if len(read) == len(found) == WALK + 1 else None


def repair_chain(chain: Chain, text: str) -> str:
    """Return the answer with every false value put right and every other word kept.

    Numbers of cells, looks, totals and the final answer are values; phrases are wording. Lines that
    cannot be read, or are missing, are written in the first phrase.
    """
    found = [re.match(rf"(\d+) \w+, ({_ADD})\b", line) for line in text.split("\n")]
    phrases = {match[1]: match[2] for match in found if match}
    total, lines = 0, []
    for index, seen in enumerate(chain.list_looks()):
        total += chain.value_of(seen)
        phrase = phrases.get(str(index + 1), ADD_PHRASES[0])
        if index < len(found) and (match := found[index]):
            phrase = match[2]
        lines.append(f"{index + 1} {seen}, {phrase} {total}")
    return "\n".join([*lines, f"Answer: {total}"])


def count_roots(chain: Chain, text: str) -> tuple[int, int] | None:
    """Count mistakes that follow from no earlier one: false looks, and false additions.

    An addition is false where the total is not the one that was stated before plus the value of
    the look as stated. None for an answer outside the grammar.
    """
    read = read_chain(chain, text)
    if read is None:
        return None
    looks = adds = total = 0
    for match, true in zip(read, chain.list_looks(), strict=False):
        looks += match[2] != true
        adds += int(match[4]) != total + chain.value_of(match[2])
        total = int(match[4])
    return looks, adds + (int(read[-1][1]) != total)
