"""Sentences in another order, and the view that marks every change against word Levenshtein.

    python tests/benchmarks/mask_views.py --data DIR [--tokenizer NAME]

Swapped rows are made from the right texts of the sets, seeded: two sentences or lines change
places, neighbours or any two. Nothing in them is wrong; a row with a loss token is a false one.
The view that marks all changes (`format_only: false, moves: false`) is scored by word F1 on the
post-edits of MLQE-PE en-de, and on Chinese pairs made here with known words, with blanks between
the words and without; plain word Levenshtein is told the words.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from mask_methods import SCORED
from mask_quality import iter_tokenizers
from mask_sets import read_demo, read_rows
from rapidfuzz.distance import Levenshtein

from dfgen.config.mask import MaskConfig
from dfgen.diff import diff_pair
from dfgen.tokens import TextTokenizer

#: (wrong words, right words, whether each wrong word is wrong)
Row = tuple[list[str], list[str], list[bool]]
SUBJECTS = [
    "我们",
    "学生",
    "老师",
    "图中",
    "王小明",
    "李雷",
    "这个城市",
    "考古学家",
    "无人机",
    "他",
]
VERBS = ["看到", "计算", "数出", "比较", "喜欢", "勘测", "绘制", "认为", "发现", "修复"]
NUMBERS = ["三", "二十五", "两", "七", "十二", "一百零八"]
MEASURES = ["个", "只", "张", "条", "座"]
ADJECTIVES = ["红色", "蓝色", "古老", "崎岖", "半透明", "巨大", "破损", "对称"]
NOUNS = ["三角形", "圆圈", "桥梁", "望远镜", "猫", "琥珀", "方程", "陶罐", "齿轮", "世界大战"]


def swap(text: str, rng: random.Random, near: bool) -> str | None:
    """Return the text with two sentences (or lines) exchanged, None if it has too few."""
    joint = "\n" if text.count("\n") > 2 else " "
    parts = text.split("\n") if joint == "\n" else re.split(r"(?<=[.!?]) (?=[A-ZА-ЯІЇЄ])", text)
    parts = [part for part in parts if part.strip()]
    long = [k for k, part in enumerate(parts) if len(part.split()) > 3]
    if len(long) < 2 or len(set(parts)) < len(parts):
        return None
    first = rng.randrange(len(long) - 1)
    second = first + 1 if near else rng.randrange(first + 1, len(long))
    a, b = long[first], long[second]
    parts[a], parts[b] = parts[b], parts[a]
    return joint.join(parts)


def print_swaps(data: Path, tokenizer: TextTokenizer) -> None:
    """Print how many swapped rows carry loss tokens."""
    prm = [data / f"prmbench/{name}.jsonl" for name in ("circular", "counterfactual")]
    sets = {
        "PRMBench": [row["right"] for path in prm for row in read_rows(path)],
        "UA-GEC": [row["right"] for row in read_rows(data / "ua_gec/edits.jsonl")],
        "demo": [row.pair.right for row in read_demo(single=False)(data, tokenizer)],
    }
    print("| swapped rows | rows | with loss tokens |\n| --- | --- | --- |")
    for name, texts in sets.items():
        for near in (True, False):
            rng = random.Random(11)
            pairs = [(text, swap(text, rng, near)) for text in texts]
            rows = [(a, b) for a, b in pairs if b is not None]
            marked = sum(not diff_pair(b, a, tokenizer).is_empty for a, b in rows)
            print(f"| {name}, {'neighbours' if near else 'any two'} | {len(rows)} | {marked} |")


def make_chinese(count: int, seed: int = 4) -> Iterator[Row]:
    """Yield Chinese sentences in words, with some words replaced, dropped or put in."""
    rng = random.Random(seed)

    def draw() -> list[str]:
        words = [rng.choice(SUBJECTS), rng.choice(VERBS), "了", rng.choice(NUMBERS)]
        words += [rng.choice(MEASURES), rng.choice(ADJECTIVES), "的", rng.choice(NOUNS)]
        return words

    for _ in range(count):
        right = [*draw(), "，", *draw(), "。", *draw(), "。"]
        wrong, bad = list(right), [False] * len(right)
        for _ in range(rng.randint(1, 5)):
            at = rng.randrange(len(wrong))
            pool = [SUBJECTS, VERBS, NUMBERS, ADJECTIVES, NOUNS]
            group = next((g for g in pool if wrong[at] in g), None)
            if group is None or bad[at]:
                continue
            kind = rng.random()
            new = rng.choice([word for word in group if word != wrong[at]])
            if kind < 0.7:
                wrong[at], bad[at] = new, True
            elif kind < 0.85:
                wrong.insert(at, new)
                bad.insert(at, True)
            else:
                del wrong[at], bad[at]
        yield wrong, right, bad


def read_german(path: Path) -> Iterator[Row]:
    """MLQE-PE with its own words."""
    for row in read_rows(path):
        words = row["wrong_tokens"]
        yield words, row["right"].split(), [tag == "BAD" for tag in row["word_tags"]]


def score(rows: Sequence[Row], joint: str, tokenizer: TextTokenizer) -> dict[str, float]:
    """Return the word F1 of each method."""
    configs = {
        "default": MaskConfig(**SCORED),
        "all changes": MaskConfig(**SCORED, format_only=False, moves=False),
    }
    counts = {name: [0, 0, 0] for name in (*configs, "word Levenshtein")}
    for wrong, right, bad in rows:
        text, other = joint.join(wrong), joint.join(right)
        ids = tokenizer.encode(text)
        if tokenizer.decode(ids) != text:
            continue
        found: dict[str, list[bool]] = {}
        for name, config in configs.items():
            diff = diff_pair(text, other, tokenizer, config)
            hit = np.zeros(len(text.encode()) + 1, dtype=bool)
            for hunk in diff.hunks:
                if hunk.in_mask:
                    hit[hunk.wrong_bytes.start : hunk.wrong_bytes.end] = True
            at, marks = 0, []
            for word in wrong:
                end = at + len(word.encode())
                marks.append(bool(hit[at:end].any()))
                at = end + len(joint)
            found[name] = marks
        marks = [False] * len(wrong)
        for tag, i0, i1, _, _ in Levenshtein.opcodes(wrong, right).as_list():
            if tag in {"replace", "delete"}:
                marks[i0:i1] = [True] * (i1 - i0)
        found["word Levenshtein"] = marks
        for name, each in found.items():
            for mark, gold in zip(each, bad, strict=True):
                counts[name][0] += mark and gold
                counts[name][1] += mark and not gold
                counts[name][2] += gold and not mark
    return {n: 2 * h / max(2 * h + f + m, 1) for n, (h, f, m) in counts.items()}


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--tokenizer", default="gpt2", help="only this one")
    args = parser.parse_args()
    chinese = list(make_chinese(600))
    for name, tokenizer in iter_tokenizers(args.data, args.tokenizer):
        print(f"\n## Tokenizer {name}\n")
        print_swaps(args.data, tokenizer)
        print("\n| word F1 | default | all changes | word Levenshtein |\n| --- | --- | --- | --- |")
        german = list(read_german(args.data / "mlqe_pe/en-de.jsonl"))
        for label, rows, joint in (
            ("MLQE-PE en-de", german, " "),
            ("Chinese, blanks between words", chinese, " "),
            ("Chinese", chinese, ""),
        ):
            values = score(rows, joint, tokenizer)
            print(f"| {label} | " + " | ".join(f"{v:.3f}" for v in values.values()) + " |")


if __name__ == "__main__":
    main()
