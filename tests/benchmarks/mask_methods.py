"""Ways to mark the wrong tokens of a pair: dfgen's and what people use today."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Indel, Levenshtein

from dfgen.config.mask import MaskConfig
from dfgen.diff import diff_pair, split_steps
from dfgen.tokens import TextTokenizer


@dataclass(frozen=True)
class Pair:
    """A wrong and a right text under one tokenizer."""

    wrong: str
    right: str
    wrong_ids: list[int]
    right_ids: list[int]
    tokenizer: TextTokenizer


@dataclass(frozen=True)
class Marked:
    """What a method marks.

    Attributes:
        mask: bool[T], changed tokens.
        gaps: bool[T+1], insertions.
        first: byte of the step that the method names as the first wrong one, if it names steps.
    """

    mask: NDArray[np.bool_]
    gaps: NDArray[np.bool_]
    first: int | None = None


Method = Callable[[Pair], Marked]
#: insertions are scored by the gap, so no token stands in for them
SCORED = {"insertion_anchor": "none", "steps": "lines"}
SWITCHES = ("whole_atoms", "ties", "crumbs", "format_only", "moves")


def make_dfgen(**switches: Any) -> Method:
    """Return dfgen's mask under a configuration."""
    config = MaskConfig(**(SCORED | switches))

    def mark(pair: Pair) -> Marked:
        diff = diff_pair(pair.wrong, pair.right, pair.tokenizer, config)
        first = None
        if diff.first_error_step >= 0:
            first = split_steps(diff.completion, config)[diff.first_error_step].start
        return Marked(diff.loss_mask, diff.gap_mask, first)

    return mark


def _mark_opcodes(count: int, opcodes: Sequence[tuple[str, int, int, int, int]]) -> Marked:
    mask, gaps = np.zeros(count, dtype=np.bool_), np.zeros(count + 1, dtype=np.bool_)
    for tag, i0, i1, _, _ in opcodes:
        if tag == "insert":
            gaps[i0] = True
        elif tag != "equal":
            mask[i0:i1] = True
    return Marked(mask, gaps)


def mark_levenshtein(pair: Pair) -> Marked:
    """Plain rapidfuzz on token ids."""
    script = Levenshtein.opcodes(pair.wrong_ids, pair.right_ids).as_list()
    return _mark_opcodes(len(pair.wrong_ids), script)


def mark_lcs(pair: Pair) -> Marked:
    """Longest common subsequence of token ids."""
    script = Indel.opcodes(pair.wrong_ids, pair.right_ids).as_list()
    return _mark_opcodes(len(pair.wrong_ids), script)


def mark_difflib(pair: Pair, autojunk: bool = True) -> Marked:
    """difflib.SequenceMatcher on token ids, as commonly written."""
    matcher = difflib.SequenceMatcher(None, pair.wrong_ids, pair.right_ids, autojunk=autojunk)
    return _mark_opcodes(len(pair.wrong_ids), matcher.get_opcodes())


METHODS: dict[str, Method] = {
    "dfgen default": make_dfgen(),
    "dfgen, all changes marked": make_dfgen(format_only=False, moves=False),
    **{f"dfgen, {switch} off": make_dfgen(**{switch: False}) for switch in SWITCHES},
    "rapidfuzz Levenshtein on ids": mark_levenshtein,
    "LCS on ids": mark_lcs,
    "difflib (autojunk)": mark_difflib,
    "difflib, autojunk off": lambda pair: mark_difflib(pair, autojunk=False),
}
