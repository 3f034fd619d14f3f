"""How fast is the difference of two texts? Alignment alone, and all of diff_pair.

    python tests/benchmarks/mask_speed.py [--tokenizer PATH_OR_ID]

The floor of diff_pair is encoding both texts once with the same tokenizer. Times are CPU time of
one core, the best of some repetitions, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import difflib
import random
import time
from collections.abc import Callable
from pathlib import Path

from dfgen.diff import diff_pair
from dfgen.diff.align import align_exactly
from dfgen.tokens import TextTokenizer, load_tokenizer

DEMO_TOKENIZER = Path(__file__).parents[2] / "dfgen" / "demo" / "models" / "policy"
TEXT = """the sum of all angles in a triangle is 180 degrees so we add $x + 35$ and get 3.5 because
each side has length 12 cm and \\frac{1}{2} times base height gives area then red circles
Therefore blue squares count again. Next, divide both sides by 4; finally compare with B."""
WORDS = TEXT.split()


def measure(run: Callable[[], object], repeats: int) -> float:
    """Return the CPU seconds of the fastest of some runs."""
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        run()
        best = min(best, time.process_time() - started)
    return best


def change_words(words: list[str], edits: int, rng: random.Random) -> list[str]:
    """Replace (60 %), insert or drop words."""
    changed = list(words)
    for _ in range(edits):
        at, kind = rng.randrange(len(changed)), rng.random()
        if kind < 0.6:
            changed[at] = rng.choice(WORDS) + "s"
        elif kind < 0.8:
            changed.insert(at, rng.choice(WORDS))
        else:
            del changed[at]
    return changed


def make_pair(tokenizer: TextTokenizer, tokens: int, edits: int, seed: int) -> tuple[str, str]:
    """Return two texts of about that many tokens that differ in that many places."""
    rng = random.Random(seed)
    ids = tokenizer.encode(" ".join(rng.choice(WORDS) for _ in range(tokens)))[:tokens]
    words = tokenizer.decode(ids).split(" ")
    return " ".join(words), " ".join(change_words(words, edits, rng))


def print_alignment(tokenizer: TextTokenizer) -> None:
    """Print the alignment of ids alone, beside the difflib recipe."""
    print("| tokens | edits | dfgen | difflib | factor |")
    print("| --- | --- | --- | --- | --- |")
    for tokens, edits, repeats in ((512, 12, 50), (2_048, 40, 10), (32_000, 200, 5)):
        pair = make_pair(tokenizer, tokens, edits, 1)
        wrong, right = (list(map(str, tokenizer.encode(text))) for text in pair)

        def run_difflib(a: list[str] = wrong, b: list[str] = right) -> object:
            return difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()

        own = measure(lambda a=wrong, b=right: align_exactly(a, b), repeats)  # type: ignore[misc]
        cells = [f"{len(wrong):,}", str(edits), f"{own * 1e3:.3f} ms"]
        if tokens <= 2_048:
            theirs = measure(run_difflib, 2)
            cells += [f"{theirs * 1e3:.1f} ms", f"{theirs / own:.0f}"]
        else:
            cells += ["-", "-"]
        print("| " + " | ".join(cells) + " |", flush=True)


def print_pairs(tokenizer: TextTokenizer) -> None:
    """Print all of diff_pair beside the floor."""
    print("| tokens | edits | encode both sides | diff_pair | without encoding / floor |")
    print("| --- | --- | --- | --- | --- |")
    for tokens, edits, count in ((512, 12, 100), (512, 1, 100), (2_048, 40, 20), (32_000, 200, 1)):
        pairs = [make_pair(tokenizer, tokens, edits, seed) for seed in range(count)]
        floor = measure(lambda p=pairs: [tokenizer.encode(t) for pair in p for t in pair], 5)  # type: ignore[misc]
        whole = measure(lambda p=pairs: [diff_pair(a, b, tokenizer) for a, b in p], 5)  # type: ignore[misc]
        print(
            f"| {tokens:,} | {edits} | {floor / count * 1e3:.2f} ms | {whole / count * 1e3:.2f} ms "
            f"| {(whole - floor) / floor:.2f} |",
            flush=True,
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", default=str(DEMO_TOKENIZER))
    tokenizer = load_tokenizer(parser.parse_args().tokenizer)
    print(f"tokenizer {tokenizer.name}, {tokenizer.vocab_size:,} ids\n")
    print_alignment(tokenizer)
    print()
    print_pairs(tokenizer)


if __name__ == "__main__":
    main()
