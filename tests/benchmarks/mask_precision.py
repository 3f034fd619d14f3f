"""How precise is a mask, by the size of the edit? The figures behind `repair.max_edit_ratio`.

    python tests/benchmarks/mask_precision.py --data DIR [--tokenizer NAME]

Precision is the share of masked tokens that lie where people (or the code that made the pair) say
the error is, by bins of `quality.edit_ratio`. DIR is that of mask_quality.py. Three kinds of sets:
labels of people (word tags of MLQE-PE, character spans of UA-GEC, wrong steps of PRMBench), and
pairs made here from their right texts, seeded: phrases are replaced by phrases of other texts until
a share of the words is changed, so that chance agreements are as common as in real rewrites.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mask_methods import SCORED
from mask_quality import iter_tokenizers
from mask_sets import (
    IGNORED,
    Labelled,
    label_bytes,
    make_pair,
    read_mlqe,
    read_prmbench,
    read_rows,
    read_uagec_changed,
)

from dfgen.config.mask import MaskConfig
from dfgen.diff import diff_pair
from dfgen.tokens import TextTokenizer

EDGES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0)
RATIOS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


@dataclass
class Bin:
    """Counts of one bin of edit ratios."""

    rows: int = 0
    hits: int = 0
    false: int = 0
    missed: int = 0
    first: list[bool] = field(default_factory=list)


def read_prm_steps(path: Path, tokenizer: TextTokenizer) -> Iterator[Labelled]:
    """PRMBench: every token of a step labelled wrong is gold (looser than the difference)."""
    steps = {row["id"]: row["gold_error_steps"] for row in read_rows(path)}
    for row in read_prmbench(path, tokenizer):
        assert row.steps is not None
        ends = [*row.steps[1:].tolist(), len(row.pair.wrong.encode())]
        spans = [(int(row.steps[k]), ends[k], 1) for k in steps[row.id] if k < len(ends)]
        yield Labelled(row.id, row.pair, label_bytes(row.pair, spans))


def make_rewrites(texts: list[str], tokenizer: TextTokenizer, seed: int = 5) -> Iterator[Labelled]:
    """Pairs with known spans: phrases of a text are replaced by phrases of the others."""
    rng = random.Random(seed)
    split = [text.split(" ") for text in texts]
    pool = [words for words in split if len(words) > 12]
    for number, words in enumerate(pool):
        pair, spans = rewrite(words, pool, RATIOS[number % len(RATIOS)], rng)
        made = make_pair(*pair, tokenizer)
        if tokenizer.decode(made.wrong_ids) == pair[0]:
            yield Labelled(f"made/{number}", made, label_bytes(made, spans))


def rewrite(
    words: list[str], pool: list[list[str]], ratio: float, rng: random.Random
) -> tuple[tuple[str, str], list[tuple[int, int, int]]]:
    """Return (wrong, right) and the byte spans of the words that are wrong.

    Words that a phrase has in common with what it replaces, at its ends, are not wrong.
    """
    budget = max(1, round(ratio * len(words)))
    wrong: list[tuple[str, int]] = [(word, 0) for word in words]
    while budget > 0:
        size = min(budget, rng.randint(1, 8), len(wrong))
        at = rng.randrange(len(wrong) - size + 1)
        if any(label for _, label in wrong[at : at + size]):
            budget -= 1
            continue
        other = rng.choice(pool)
        start = rng.randrange(len(other))
        phrase = other[start : start + max(1, size + rng.randint(-2, 2))]
        old = [word for word, _ in wrong[at : at + size]]
        while phrase and old and phrase[0] == old[0]:
            phrase, old, at = phrase[1:], old[1:], at + 1
        while phrase and old and phrase[-1] == old[-1]:
            phrase, old = phrase[:-1], old[:-1]
        wrong[at : at + len(old)] = [(word, 1) for word in phrase]
        budget -= size
    spans: list[tuple[int, int, int]] = []
    byte = 0
    for word, label in wrong:
        if label:
            spans.append((byte, byte + len(word.encode()), 1))
        byte += len(word.encode()) + 1
    return (" ".join(word for word, _ in wrong), " ".join(words)), spans


def measure(rows: Iterator[Labelled]) -> dict[float, Bin]:
    """Count hits by the edit ratio that a recipe would gate on."""
    config = MaskConfig(**SCORED)
    bins: dict[float, Bin] = defaultdict(Bin)
    for row in rows:
        diff = diff_pair(row.pair.wrong, row.pair.right, row.pair.tokenizer, config)
        edge = next(edge for edge in EDGES if diff.quality.edit_ratio <= edge)
        judged, gold = row.gold != IGNORED, row.gold == 1
        mask = diff.loss_mask & judged
        bin_ = bins[edge]
        bin_.rows += 1
        bin_.hits += int((mask & gold).sum())
        bin_.false += int((mask & ~gold).sum())
        bin_.missed += int((gold & judged & ~mask).sum())
        if mask.any() and gold.any():
            bin_.first.append(bool(gold[np.flatnonzero(mask)[0]]))
    return bins


def print_bins(name: str, bins: dict[float, Bin]) -> None:
    """Print one row for each bin, and what holds up to its upper end."""
    print(f"\n### {name}\n")
    print("| edit ratio up to | rows | precision | recall | all up to here: rows | precision "
          "| first mark is right |")  # fmt: skip
    print("| --- |" + " --- |" * 6)
    total = Bin()
    for edge in EDGES:
        if edge not in bins:
            continue
        one = bins[edge]
        total.rows += one.rows
        total.hits += one.hits
        total.false += one.false
        total.first += one.first
        cells = [
            f"{edge:.2f}", str(one.rows), f"{one.hits / max(one.hits + one.false, 1):.3f}",
            f"{one.hits / max(one.hits + one.missed, 1):.3f}", str(total.rows),
            f"{total.hits / max(total.hits + total.false, 1):.3f}",
            f"{np.mean(total.first or [False]):.3f}",
        ]  # fmt: skip
        print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--tokenizer", default="gpt2", help="only this one")
    args = parser.parse_args()
    data: Path = args.data
    prm = [data / f"prmbench/{name}.jsonl" for name in ("circular", "counterfactual")]
    for tokenizer_name, tokenizer in iter_tokenizers(data, args.tokenizer):
        print(f"\n## Tokenizer {tokenizer_name}")
        print_bins("MLQE-PE en-de", measure(read_mlqe(data / "mlqe_pe/en-de.jsonl", tokenizer)))
        uagec = read_uagec_changed(data / "ua_gec/edits.jsonl", tokenizer)
        print_bins("UA-GEC, words that change", measure(uagec))
        steps = (row for path in prm for row in read_prm_steps(path, tokenizer))
        print_bins("PRMBench, labelled steps", measure(steps))
        texts = [row["right"] for path in prm for row in read_rows(path)]
        print_bins("made from PRMBench", measure(make_rewrites(texts * 2, tokenizer)))
        texts = [row["right"] for row in read_rows(data / "mlqe_pe/en-de.jsonl")]
        print_bins("made from MLQE-PE", measure(make_rewrites(texts, tokenizer)))


if __name__ == "__main__":
    main()
