"""Sets of (wrong, right) texts with labels that people made, or that hold by construction."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, zip_longest
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
        words: int32[T], the word each token lies in, -1 for none; None where words are not scored.
        first_step: the first wrong step, None where steps are not labelled.
        steps: byte offset at which each step begins.
    """

    id: str
    pair: Pair
    gold: NDArray[np.int8]
    words: NDArray[np.int32] | None = None
    first_step: int | None = None
    steps: NDArray[np.int64] | None = None


Reader = Callable[[Path, TextTokenizer], Iterator[Labelled]]


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


def label_bytes(
    pair: Pair, spans: list[tuple[int, int, int]], white_space: int = IGNORED
) -> NDArray[np.int8]:
    """Return int8[T]: the label of the spans (start, end in bytes, label) a token overlaps."""
    text, offsets = pair.tokenizer.render(pair.wrong_ids)
    raw = text.encode()
    pieces = [raw[a:b] for a, b in pairwise(offsets)]
    gold = np.array([white_space if p.isspace() else 0 for p in pieces], dtype=np.int8)
    judged = gold == 0
    for start, end, label in spans:
        gold[(offsets[:-1] < end) & (offsets[1:] > start) & judged] = label
    return gold


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


def read_marked(path: Path, tokenizer: TextTokenizer) -> Iterator[Labelled]:
    """Labels that a person exported from `dfgen report` or `dfgen view`, at exact byte offsets."""
    for row in read_rows(path):
        pair = make_pair(row["wrong"], row["right"], tokenizer)
        if tokenizer.decode(pair.wrong_ids) == row["wrong"]:
            spans = [(start, end, 1) for start, end in row["spans"]]
            yield Labelled(row["id"], pair, label_bytes(pair, spans))


def read_uagec(path: Path, tokenizer: TextTokenizer) -> Iterator[Labelled]:
    """UA-GEC: human corrections at exact character offsets, every token inside them wrong.

    Insertions mark no token, and tokens of white space alone are not judged.
    """
    yield from _read_uagec(path, tokenizer, lambda old, new, at: [(at, at + len(old), 1)])


def read_uagec_changed(path: Path, tokenizer: TextTokenizer) -> Iterator[Labelled]:
    """The same, where only words are judged that the correction itself changes.

    An annotator's span may hold words that stand in its replacement too ("20 miles" inside a
    rewritten clause), or differ from it in case or blanks only; those are left out.
    """
    yield from _read_uagec(path, tokenizer, _judge_changed_words)


def _judge_changed_words(old: str, new: str, at: int) -> list[tuple[int, int, int]]:
    if _fold(old) == _fold(new):
        return [(at, at + len(old), int(IGNORED))]
    kept = {word.casefold() for word in re.findall(r"[\w'’-]+|[^\w\s]", new)}
    return [
        (at + m.start(), at + m.end(), int(IGNORED) if m[0].casefold() in kept else 1)
        for m in re.finditer(r"[\w'’-]+|[^\w\s]", old)
    ]


def _fold(text: str) -> str:
    return "".join(text.split()).casefold()


def _read_uagec(
    path: Path,
    tokenizer: TextTokenizer,
    judge: Callable[[str, str, int], list[tuple[int, int, int]]],
) -> Iterator[Labelled]:
    for row in read_rows(path):
        pair = make_pair(row["wrong"], row["right"], tokenizer)
        text = row["wrong"]
        if tokenizer.decode(pair.wrong_ids) != text:
            continue
        spans: list[tuple[int, int, int]] = []
        for start, end, _, new, _ in row["edits"]:
            # The annotators' spans take the white space before or behind along at will.
            old = text[start:end]
            at = start + len(old) - len(old.lstrip())
            for a, b, label in judge(old.strip(), new.strip(), at):
                spans.append((len(text[:a].encode()), len(text[:b].encode()), label))
        yield Labelled(row["id"], pair, label_bytes(pair, spans))


def read_prmbench(path: Path, tokenizer: TextTokenizer) -> Iterator[Labelled]:
    """PRMBench: the first wrong step of a solution with an injected error; steps are given."""
    for row in read_rows(path):
        pair = make_pair(row["wrong"], row["right"], tokenizer)
        if tokenizer.decode(pair.wrong_ids) != row["wrong"]:
            continue
        sizes = [len(step.encode()) + 1 for step in row["wrong_steps"]]
        steps = np.cumsum([0, *sizes[:-1]])
        gold = np.full(len(pair.wrong_ids), IGNORED)
        yield Labelled(row["id"], pair, gold, None, row["gold_first_error_step"], steps)


def read_demo(single: bool) -> Reader:
    """Demo scenes: answers with wrong values, and what is true of the picture.

    Args:
        single: one wrong value in the whole text; else wrong counts and all that follows from them.
    """

    def read(_: Path, tokenizer: TextTokenizer) -> Iterator[Labelled]:
        from dfgen.demo.scenes import iter_scenes
        from dfgen.demo.truth import write_consequence

        rng = random.Random(7)
        for number, scene in enumerate(iter_scenes(600, seed=11)):
            right = write_consequence(
                _draw_lead(rng, scene.kind), scene.truth, tuple(scene.truth["counts"])
            )
            wrong = (
                _change_one_value(right, rng)
                if single
                else write_consequence(
                    _read_lead(right, scene.kind), scene.truth, _draw_counts(scene.truth, rng)
                )
            )
            pair = make_pair(wrong, right, tokenizer)
            if tokenizer.decode(pair.wrong_ids) != wrong:
                continue
            spans = _find_false_words(wrong, right)
            yield Labelled(f"demo/{number}", pair, label_bytes(pair, spans))

    return read


def _draw_lead(rng: random.Random, kind: str) -> tuple[str, str, str]:
    from dfgen.demo.questions import CONCLUSION_PHRASES, COUNT_PHRASES

    phrases = CONCLUSION_PHRASES[kind]  # type: ignore[index]
    return rng.choice(COUNT_PHRASES), rng.choice(COUNT_PHRASES), rng.choice(phrases)


def _read_lead(text: str, kind: str) -> tuple[str, str, str]:
    from dfgen.demo.truth import GRAMMARS, read_lead

    match = GRAMMARS[kind].fullmatch(text)  # type: ignore[index]
    assert match
    return read_lead(match)


def _draw_counts(truth: dict[str, Any], rng: random.Random) -> tuple[int, int]:
    while True:
        counts = tuple(rng.choice([c, c, rng.randrange(5)]) for c in truth["counts"])
        if counts != tuple(truth["counts"]):
            return counts[0], counts[1]


def _change_one_value(text: str, rng: random.Random) -> str:
    """Replace one number (not that of a step) by another one."""
    places = [m for m in re.finditer(r"\d+", text) if not text[: m.start()].endswith("Step ")]
    place = rng.choice(places)
    other = rng.choice([str(n) for n in range(13) if str(n) != place[0]])
    return text[: place.start()] + other + text[place.end() :]


def _find_false_words(wrong: str, right: str) -> list[tuple[int, int, int]]:
    """Compare word by word: the grammar keeps both aligned, but for an answer of other length."""
    spans: list[tuple[int, int, int]] = []
    at = 0
    for ours, theirs in zip(wrong.split("\n"), right.split("\n"), strict=True):
        ours_words = list(re.finditer(r"\w+|[^\w\s]", ours))
        their_words = re.findall(r"\w+|[^\w\s]", theirs)
        for mine, true in zip_longest(ours_words, their_words):
            if mine is not None and mine[0] != true:
                spans.append((at + mine.start(), at + mine.end(), 1))
        at += len(ours) + 1
    return spans


def change_format(text: str, rng: random.Random) -> str:
    r"""Say the same in another form: white space, \frac, emphasis, bullets, case of headings."""
    blanks = [" ", " ", "  ", "\n"]
    text = re.sub(r"(?<=\w) (?=\w)", lambda _: rng.choice(blanks), text)
    text = text.replace("\\frac", "\\dfrac").replace("\n", "\n\n", 1)
    words = re.findall(r"(?<![\\\w-])[A-Za-z]{4,}(?![\w-])", text)
    if words:
        word = re.escape(rng.choice(words))
        text = re.sub(rf"(?<![\\\w-]){word}(?![\w-])", lambda m: f"**{m[0]}**", text, count=1)
        word = re.escape(rng.choice(words))
        text = re.sub(rf"(?<![\\\w-]){word}(?![\w-])", lambda m: m[0].swapcase(), text, count=1)
    return text


def change_white_space(text: str, rng: random.Random) -> str:
    """Change white space alone."""
    return re.sub(r"\s+", lambda _: rng.choice([" ", "  ", "\n", "\n\n", "\t"]), text) + "\n"
