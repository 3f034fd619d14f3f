"""Repairs wrong answers, as well or as badly as a study asks for: by rule, or as the demo does.

- `perfect`: every false value put right, every other word kept.
- `fallible`: one repair in three overlooks something: a line stays or becomes false, and what
  follows is made to fit it. Verification by the final answer throws most of those out.
- `rewriter`: all true, but in phrases of its own.
- `learned`: the demo's editor, which looks at the picture itself; for `steps` alone.
A garbled answer becomes a true one in the wording that can be read of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from transformers import (
    AutoModelForImageTextToText,
    AutoTokenizer,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from dfgen.demo import locate_model
from dfgen.demo.batches import render_repairer_prompt
from dfgen.demo.sampling import generate_texts
from dfgen.demo.tokenizer import ASSISTANT, END_THINK, IMAGE
from tests.benchmarks.study.tasks import Problem

REPAIRERS = ("perfect", "fallible", "rewriter", "learned")
#: Share of repairs that go wrong.
FAILURES = 0.3
#: Of the editor, its scan of the picture included.
EDITOR_TOKENS = 96


def repair_answers(
    wrong: Sequence[tuple[Problem, str]], repairer: str, rng: np.random.Generator
) -> list[str]:
    """Repair answers, each given by its problem and its text."""
    if repairer == "learned":
        return ask_editor(wrong)
    return [repair_answer(problem, text, repairer, rng) for problem, text in wrong]


def ask_editor(wrong: Sequence[tuple[Problem, str]]) -> list[str]:
    """Have the demo's editor repair answers to its questions, greedily as the demo has it."""
    if not wrong:
        return []
    model, tokenizer = load_editor()
    questions = [problem.prompt.rpartition(IMAGE)[2] for problem, _ in wrong]
    questions = [question.removesuffix(ASSISTANT) for question in questions]
    texts = [text for _, text in wrong]
    prompts = [render_repairer_prompt(q, t) for q, t in zip(questions, texts, strict=True)]
    pictures = np.stack([problem.picture for problem, _ in wrong])
    written = generate_texts(
        model, tokenizer, prompts, pictures, sample=False, max_tokens=EDITOR_TOKENS
    )
    return [text.partition(END_THINK)[2] for text in written]


@cache
def load_editor() -> tuple[LlavaForConditionalGeneration, PreTrainedTokenizerFast]:
    """Load the demo's editor."""
    folder = locate_model("repairer")
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def repair_answer(problem: Problem, text: str, repairer: str, rng: np.random.Generator) -> str:
    """Repair one answer."""
    ideal = problem.repair(text)
    if repairer == "rewriter":
        return problem.write(rng)
    if repairer == "fallible" and rng.random() < FAILURES:
        return spoil_repair(ideal, rng)
    return ideal


def spoil_repair(repair: str, rng: np.random.Generator) -> str:
    """Shift a number of one line by one, and every later total and the answer with it.

    Each line of a chain ends with its total, so the shift is carried by the last number of all
    lines from there on. In the demo's answers only the line and the final answer change.
    """
    lines = repair.split("\n")
    places = [i for i, line in enumerate(lines[:-1]) if re.search(r"\d", line)]
    first = places[rng.integers(len(places))]
    shift = 1 if rng.random() < 0.5 or re.search(r" 0\b", lines[first]) else -1
    carried = [first]
    if "," in lines[first]:
        carried = [i for i in places if i >= first]
        lines[first] = re.sub(
            r" (\d+),", lambda m: f" {max(0, int(m[1]) + shift)},", lines[first], count=1
        )
    for index in [*carried, len(lines) - 1]:
        lines[index] = re.sub(
            r"(\d+)(\D*)$", lambda m: f"{max(0, int(m[1]) + shift)}{m[2]}", lines[index]
        )
    return "\n".join(lines)
