"""How good are the masks? dfgen and common recipes against labels that people made.

    python tests/benchmarks/mask_quality.py --data DIR [--tokenizer NAME] [--set NAME] [--rows N]

DIR holds the sets that `read_*` in mask_sets.py describe, each in a folder of its own, and the
tokenizers. A set that is not there is left out. Prints one Markdown table for each set and
tokenizer, and rows on which dfgen and the labels disagree (`--examples N`).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from mask_methods import METHODS, Marked, Method
from mask_sets import (
    Labelled,
    Reader,
    change_format,
    change_white_space,
    make_pair,
    read_demo,
    read_marked,
    read_mlqe,
    read_prmbench,
    read_uagec,
    read_uagec_changed,
)

from dfgen.tokens import TextTokenizer, load_tokenizer

SETS: dict[str, tuple[str, Reader]] = {
    "MLQE-PE en-de": ("mlqe_pe/en-de.jsonl", read_mlqe),
    "UA-GEC, every token of a correction": ("ua_gec/edits.jsonl", read_uagec),
    "UA-GEC, words that change": ("ua_gec/edits.jsonl", read_uagec_changed),
    "PRMBench circular": ("prmbench/circular.jsonl", read_prmbench),
    "PRMBench counterfactual": ("prmbench/counterfactual.jsonl", read_prmbench),
    "Marked by people in the page": ("labels.jsonl", read_marked),
    "Demo scenes, one wrong value": (".", read_demo(single=True)),
    "Demo scenes, wrong counts": (".", read_demo(single=False)),
}
TOKENIZERS = {
    "gpt2": "tokenizers/gpt2",
    "bert": "tokenizers/bert",
    "sentencepiece": "tokenizers/sentencepiece/en_unigram_1k.model",
}
DEMO_TOKENIZER = Path(__file__).parents[2] / "dfgen" / "demo" / "models" / "policy"


@dataclass
class Score:
    """Counts of one method on one set."""

    rows: int = 0
    exact: int = 0
    tokens: list[int] = field(default_factory=lambda: [0, 0, 0])
    words: list[int] = field(default_factory=lambda: [0, 0, 0])
    first: int = 0
    first_rows: int = 0
    form_marked: int = 0
    form_tokens: int = 0
    blank_marked: int = 0

    def add(self, row: Labelled, method: Method) -> bool:
        """Score one row; return whether it agrees with the labels."""
        marked = method(row.pair)
        judged, gold = row.gold >= 0, row.gold == 1
        mask = marked.mask & judged
        self.rows += 1
        exact = bool((mask == gold)[judged].all())
        self.exact += exact
        _count(self.tokens, mask, gold)
        if row.words is not None:
            size = int(row.words.max(initial=-1)) + 1
            word_mask, word_gold = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
            word_mask[row.words[mask & (row.words >= 0)]] = True
            word_gold[row.words[gold & (row.words >= 0)]] = True
            _count(self.words, word_mask, word_gold)
        if row.steps is not None:
            self.first_rows += 1
            exact = _find_first_step(row, marked) == row.first_step
            self.first += exact
        return exact

    def add_form(self, text: str, tokenizer: TextTokenizer, method: Method, seed: int) -> None:
        """Score a change of format only: nothing should be marked."""
        rng = random.Random(seed)
        pair = make_pair(text, change_format(text, rng), tokenizer)
        self.form_marked += int(method(pair).mask.sum())
        self.form_tokens += len(pair.wrong_ids)
        blank = make_pair(text, change_white_space(text, rng), tokenizer)
        self.blank_marked += int(method(blank).mask.sum())


def _find_first_step(row: Labelled, marked: Marked) -> int:
    """Return the first step with a mark, -1 for none; a token of white space is no mark."""
    assert row.steps is not None
    if marked.first is not None:
        return int(np.searchsorted(row.steps, marked.first, side="right")) - 1
    tokenizer, ids = row.pair.tokenizer, row.pair.wrong_ids
    last = np.maximum(tokenizer.byte_offsets(ids)[1:], 1) - 1
    steps = np.searchsorted(row.steps, last, side="right") - 1
    touched = [t for t in np.flatnonzero(marked.mask) if tokenizer.decode([ids[t]]).strip()]
    touched += [min(gap, len(ids) - 1) for gap in np.flatnonzero(marked.gaps)]
    return min((int(steps[t]) for t in touched), default=-1)


def _count(counts: list[int], mask: np.ndarray, gold: np.ndarray) -> None:
    counts[0] += int((mask & gold).sum())
    counts[1] += int((mask & ~gold).sum())
    counts[2] += int((~mask & gold).sum())


def _rate(counts: list[int]) -> tuple[float, float, float]:
    hits, false, missed = counts
    precision, recall = hits / max(hits + false, 1), hits / max(hits + missed, 1)
    return precision, recall, 2 * hits / max(2 * hits + false + missed, 1)


def print_table(rows: list[Labelled], tokenizer: TextTokenizer) -> list[Labelled]:
    """Print the table of one set and return the rows that dfgen's default misses."""
    has_tokens = any((row.gold >= 0).any() for row in rows)
    has_words = rows[0].words is not None
    has_steps = rows[0].steps is not None
    head = ["method"]
    head += ["precision", "recall", "F1", "exact masks"] if has_tokens else []
    head += ["word F1"] if has_words else []
    head += ["first error"] if has_steps else []
    head += ["false marks per 1,000 tokens: format", "white space"]
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    missed: list[Labelled] = []
    for name, method in METHODS.items():
        score = Score()
        for index, row in enumerate(rows):
            if not score.add(row, method) and name == next(iter(METHODS)):
                missed.append(row)
            if index < 200:
                score.add_form(row.pair.right, tokenizer, method, index)
        cells = [name]
        if has_tokens:
            cells += [f"{value:.3f}" for value in (*_rate(score.tokens), score.exact / score.rows)]
        cells += [f"{_rate(score.words)[2]:.3f}"] if has_words else []
        cells += [f"{score.first / score.first_rows:.3f}"] if has_steps else []
        per_thousand = 1000 / max(score.form_tokens, 1)
        cells += [f"{score.form_marked * per_thousand:.1f}"]
        cells += [f"{score.blank_marked * per_thousand:.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)
    return missed


def print_examples(rows: list[Labelled], count: int) -> None:
    """Print rows on which dfgen's default and the labels disagree."""
    default = next(iter(METHODS.values()))
    for row in rows[:count]:
        text, offsets = row.pair.tokenizer.render(row.pair.wrong_ids)
        raw = text.encode()
        mask = default(row.pair).mask

        def show(chosen: np.ndarray, raw: bytes = raw, offsets: np.ndarray = offsets) -> str:
            spans = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(int), [0]])))
            places = zip(spans[::2], spans[1::2], strict=True)
            return " | ".join(
                raw[offsets[a] : offsets[b]].decode("utf-8", "replace") for a, b in places
            )

        print(f"\n{row.id}\n  wrong  {text!r}\n  right  {row.pair.right!r}")
        if row.steps is None:
            print(f"  labelled, not marked: {show((row.gold == 1) & ~mask)}")
            print(f"  marked, not labelled: {show((row.gold == 0) & mask)}")
        else:
            starts = [*row.steps.tolist(), len(raw)]
            first = row.first_step or 0
            step = raw[starts[first] : starts[first + 1]].decode().strip()
            same = step in row.pair.right
            print(f"  labelled first: step {first} {step!r}; it stands in the right text: {same}")
            print(f"  marked: {show(mask)[:300]}")


def iter_tokenizers(data: Path, only: str | None) -> Iterator[tuple[str, TextTokenizer]]:
    """Yield the tokenizers that are there."""
    paths = {name: data / place for name, place in TOKENIZERS.items()}
    paths["demo policy"] = DEMO_TOKENIZER
    for name, path in paths.items():
        if path.exists() and only in (None, name):
            yield name, load_tokenizer(str(path))


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--tokenizer", help="only this one")
    parser.add_argument("--set", help="only sets whose name contains this")
    parser.add_argument("--rows", type=int, help="at most this many rows of each set")
    parser.add_argument("--examples", type=int, default=0, help="print rows that disagree")
    args = parser.parse_args()
    for tokenizer_name, tokenizer in iter_tokenizers(args.data, args.tokenizer):
        for name, (place, read) in SETS.items():
            if not (args.data / place).exists() or (args.set and args.set not in name):
                continue
            rows = list(islice(read(args.data / place, tokenizer), args.rows))
            print(f"\n### {name}, tokenizer {tokenizer_name}: {len(rows)} rows\n")
            if not rows:
                print("The tokenizer cannot spell these texts.")
                continue
            missed = print_table(rows, tokenizer)
            print_examples(missed, args.examples)


if __name__ == "__main__":
    main()
