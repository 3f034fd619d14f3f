"""Sets of (wrong, right) texts with labels that people made, as token labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mask_methods import Pair
from numpy.typing import NDArray

from dfgen.tokens import TextTokenizer

IGNORED = np.int8(-1)


@dataclass(frozen=True)
class Labelled:
    """A pair with what people marked.

    Attributes:
        gold: int8[T], 1 wrong, 0 right, -1 not judged.
        groups: int32[T], tokens of one number are scored as one item (a word), -1 left out; None
            scores tokens.
        first_step: the first wrong step, None where steps are not labelled.
        steps: byte offset at which each step begins.
    """

    id: str
    pair: Pair
    gold: NDArray[np.int8]
    words: NDArray[np.int32] | None = None
    first_step: int | None = None
    steps: NDArray[np.int64] | None = None


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSONL file."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def make_pair(wrong: str, right: str, tokenizer: TextTokenizer) -> Pair:
    """Encode both texts."""
    return Pair(wrong, right, tokenizer.encode(wrong), tokenizer.encode(right), tokenizer)


def find_words(words: list[str], pair: Pair) -> NDArray[np.int32] | None:
    """Return int32[T], the word each token lies in; None if the tokenizer changes the words.

    White space does not count, because WordPiece sets its own.
    """
    tokenizer = pair.tokenizer
    text, offsets = tokenizer.render(pair.wrong_ids)
    owner: list[int] = []
    spelled = ""
    for number, word in enumerate(words):
        own = "".join(tokenizer.decode(tokenizer.encode(word)).split())
        spelled += own
        owner += [number] * len(own.encode())
    if spelled != "".join(text.split()):
        return None
    raw = text.encode()
    # visible[k]: how many bytes that are no white space stand before byte k.
    blank = np.frombuffer(raw, dtype=np.uint8) <= 0x20
    visible = np.concatenate([[0], np.cumsum(~blank)])
    start, end = visible[offsets[:-1]], visible[offsets[1:]]
    return np.where(start < end, np.array([*owner, -1])[start], -1).astype(np.int32)


def read_mlqe(path: Path, tokenizer: TextTokenizer) -> Iterator[Labelled]:
    """MLQE-PE: OK/BAD of each word of a machine translation, from human post-edits."""
    for row in read_rows(path):
        pair = make_pair(row["wrong"], row["right"], tokenizer)
        words = find_words(row["wrong_tokens"], pair)
        if words is None:
            continue
        bad = np.array([*(tag == "BAD" for tag in row["word_tags"]), False])
        gold = np.where(words < 0, IGNORED, bad[words]).astype(np.int8)
        yield Labelled(row["id"], pair, gold, words)


def read_uagec(path: Path, tokenizer: TextTokenizer, every_edit: bool) -> Iterator[Labelled]:
    """UA-GEC: human corrections at exact character offsets. Insertions mark no token.

    Args:
        every_edit: judge corrections of case and white space too, which dfgen types as format.
    """
    for row in read_rows(path):
        pair = make_pair(row["wrong"], row["right"], tokenizer)
        text, offsets = tokenizer.render(pair.wrong_ids)
        if text != row["wrong"]:
            continue
        pieces = [tokenizer.decode([i]) for i in pair.wrong_ids]
        gold = np.array([IGNORED if piece.isspace() else 0 for piece in pieces], dtype=np.int8)
        judged = gold == 0
        for start, end, _, new, _ in row["edits"]:
            # The annotators' spans take the white space before or behind along at will.
            old = text[start:end]
            start += len(old) - len(old.lstrip())
            end = start + len(old.strip())
            a, b = (len(text[:place].encode()) for place in (start, end))
            same = "".join(old.split()).casefold() == "".join(new.split()).casefold()
            if a < b:
                label = IGNORED if same and not every_edit else 1
                gold[(offsets[:-1] < b) & (offsets[1:] > a) & judged] = label
        yield Labelled(row["id"], pair, gold)


def read_prmbench(path: Path, tokenizer: TextTokenizer) -> Iterator[Labelled]:
    """PRMBench: the first wrong step of a solution with an injected error; steps are lines."""
    for row in read_rows(path):
        pair = make_pair(row["wrong"], row["right"], tokenizer)
        text, _ = tokenizer.render(pair.wrong_ids)
        if text != row["wrong"]:
            continue
        sizes = [len(step.encode()) + 1 for step in row["wrong_steps"]]
        steps = np.cumsum([0, *sizes[:-1]])
        gold = np.full(len(pair.wrong_ids), IGNORED)
        first = row["gold_first_error_step"]
        yield Labelled(row["id"], pair, gold, first_step=first, steps=steps)
