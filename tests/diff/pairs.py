"""Short ways to write a pair and what became of it."""

from __future__ import annotations

from typing import Any

from dfgen.config.mask import MaskConfig
from dfgen.diff import PairDiff, diff_pair
from dfgen.tokens import TextTokenizer
from tests.support.small_tokenizers import byte_level_bpe

#: kind, wrong text, right text
Row = tuple[str, str, str]


def diff(
    wrong: str, right: str, tokenizer: TextTokenizer | None = None, **switches: Any
) -> PairDiff:
    return diff_pair(wrong, right, tokenizer or byte_level_bpe(), MaskConfig(**switches))


def list_hunks(wrong: str, right: str, **switches: Any) -> list[Row]:
    found = diff(wrong, right, **switches).hunks
    return [(hunk.kind[:3], hunk.wrong_text, hunk.right_text) for hunk in found]


def read_marked(result: PairDiff) -> list[str]:
    """The marked text, neighbouring tokens together, white space at the ends left out."""
    raw = result.completion.encode()
    runs: list[list[int]] = []
    for start, end, masked in zip(
        result.token_bytes, result.token_bytes[1:], result.loss_mask, strict=False
    ):
        if not masked:
            continue
        if runs and runs[-1][1] == start:
            runs[-1][1] = int(end)
        else:
            runs.append([int(start), int(end)])
    return [raw[a:b].decode("utf-8", "replace").strip() for a, b in runs]


def marked(wrong: str, right: str, **switches: Any) -> list[str]:
    return read_marked(diff(wrong, right, **switches))
