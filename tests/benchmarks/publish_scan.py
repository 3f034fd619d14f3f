"""How fast texts are looked through before they are published.

    python -m tests.benchmarks.publish_scan [MB]
    python -m tests.benchmarks.publish_scan --recall

Prints megabytes per second of CPU time for answers with LaTeX and without, and the share of the
time that a mere sha256 of the same bytes takes. One process, one thread. With `--recall`, for
each kind of secret and each thing that it may stand in, how many of 40 drawings are found.
"""

from __future__ import annotations

import hashlib
import random
import re
import sys
import time
from collections import Counter

import pyarrow as pa

from dfgen.publish.patterns import SECRETS
from dfgen.publish.safety import Findings, Scanner
from tests.support.secret_texts import MAKERS, make_secrets, make_texts

TEXT = "the left square is red so we count the 3 circles of /a/ path and ~5 more: it is 12"
PLAIN = TEXT.split()
LATEX = [r"\frac{1}{2}", r"\\alpha\beta", "$x^2$", r"\begin{aligned}", "&=", r"\\", *PLAIN]


def make_batch(words: list[str], megabytes: float) -> pa.RecordBatch:
    rng = random.Random(0)
    texts: list[str] = []
    size = 0
    while size < megabytes * 1e6:
        texts.append(" ".join(rng.choices(words, k=400)))
        size += len(texts[-1])
    ids = [f"p{number}" for number in range(len(texts))]
    return pa.RecordBatch.from_pydict({"prompt_id": ids, "text": texts})


def print_recall() -> None:
    kinds: dict[str, list[tuple[str, str]]] = {kind: [] for kind in MAKERS}
    for seed in range(40):
        for kind, secrets in make_secrets(seed).items():
            for secret in secrets:
                kinds[kind] += make_texts(kind, secret).items()
    missed: Counter[str] = Counter()
    for kind, cases in kinds.items():
        pattern = re.compile(SECRETS[kind], re.ASCII)
        lost = [name for name, text in cases if not pattern.search(text)]
        missed.update(lost)
        share = 1 - len(lost) / len(cases)
        print(f"{kind:16} {len(MAKERS[kind]):2} forms {len(cases):6,} texts  recall {share:.4f}")
    print("missed, by what they stand in:", dict(missed) or "none")


def main() -> None:
    if sys.argv[1:] == ["--recall"]:
        print_recall()
        return
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    for name, words in (("plain", PLAIN), ("LaTeX", LATEX)):
        batch = make_batch(words, megabytes)
        findings = Findings()
        began = time.process_time()
        Scanner(findings).scan_batch(batch, "x")
        took = time.process_time() - began
        began = time.process_time()
        hashlib.sha256(b"".join(each.as_py().encode() for each in batch.column("text"))).digest()
        hashing = time.process_time() - began
        size = batch.nbytes / 1e6
        found = sum(findings.counts.values())
        print(
            f"{name}: {size:.0f} MB in {took:.2f} s, {size / took:.0f} MB/s, "
            f"{took / hashing:.1f} times a sha256; {found} findings"
        )


if __name__ == "__main__":
    main()
