"""Measures a model on questions that no run trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, LlavaForConditionalGeneration

from dfgen.tokens import TextTokenizer
from tests.benchmarks.study.loop import Run, pack_prompts, read_text
from tests.benchmarks.study.sampler import Completion, Prompts, draw_completions
from tests.benchmarks.study.scoring import Row, score_rows
from tests.benchmarks.study.tasks import Problem, Task

#: Streams of questions. Training draws from [seed, round]; these have a first number of their own.
TEST_STREAMS = {"study": 77_000, "tune": 78_000, "explore": 80_000}
FORGET_STREAM = 79_000
FORGET_QUESTIONS = 300
KL_QUESTIONS = 400


@dataclass(frozen=True)
class Test:
    """Held-out questions, ready to be asked."""

    problems: list[Problem]
    prompts: Prompts


def open_test(run: Run, stream: int, count: int, kinds: Sequence[str]) -> Test:
    """Draw the test questions of a stream; always the same."""
    hard = run.task.starts[run.settings.start]
    problems = run.task.draw(np.random.default_rng([stream]), count, kinds, hard)
    return Test(problems, pack_prompts(run.speaker, problems))


def judge(test: Test, tokenizer: TextTokenizer, drawn: list[list[Completion]]) -> dict[str, float]:
    """Judge one answer to each question.

    Returns:
        accuracy: ends right. true: ends right and every line is true. false_steps: false lines in
        an answer that ends right (a garbled one counts as one). garbled: outside the grammar.
        length: tokens. entropy: nats a token.
    """
    right, true, false_lines, garbled = [], [], [], 0
    for problem, (completion,) in zip(test.problems, drawn, strict=True):
        text = read_text(tokenizer, completion.ids)
        right.append(problem.is_right(text))
        if problem.is_garbled(text):
            garbled, false = garbled + 1, 1
        else:
            lines = zip(text.split("\n"), problem.repair(text).split("\n"), strict=True)
            false = sum(line != ideal for line, ideal in lines)
        true.append(right[-1] and false == 0)
        if right[-1]:
            false_lines.append(false)
    return {
        "accuracy": float(np.mean(right)),
        "true": float(np.mean(true)),
        "false_steps": float(np.mean(false_lines)) if false_lines else 0.0,
        "garbled": garbled / len(right),
        "length": float(np.mean([len(c.ids) for (c,) in drawn])),
        "entropy": float(np.mean([c.entropy for (c,) in drawn])),
    }


def measure(run: Run) -> dict[str, float]:
    """Measure a run's model as it is now: every figure of a row of results."""
    settings, task = run.settings, run.task
    stream = TEST_STREAMS[settings.purpose]
    test = open_test(run, stream, settings.test_questions, task.trained)
    run.model.eval()
    figures: dict[str, float] = {}
    for name, generator in (("greedy", None), ("sampled", torch.Generator().manual_seed(stream))):
        drawn = draw_completions(
            run.model, test.prompts, 1, max_tokens=task.max_tokens, generator=generator
        )
        judged = judge(test, run.tokenizer, drawn)
        figures |= {f"{name}_{key}": value for key, value in judged.items()}
    if settings.purpose == "tune":
        return figures
    figures["kl"] = estimate_kl(task, test, drawn)
    other = open_test(run, FORGET_STREAM, FORGET_QUESTIONS, task.untrained)
    drawn = draw_completions(
        run.model, other.prompts, 1, max_tokens=task.max_tokens, generator=None
    )
    figures["untrained_accuracy"] = judge(other, run.tokenizer, drawn)["accuracy"]
    return figures


@torch.no_grad()
def estimate_kl(task: Task, test: Test, drawn: list[list[Completion]]) -> float:
    """Estimate KL(policy || start) in nats a token, from the policy's own answers at T = 1."""
    start: LlavaForConditionalGeneration = AutoModelForImageTextToText.from_pretrained(
        task.model
    ).eval()
    rows = [
        Row(index, completion.ids, torch.zeros(0), completion.logprobs, "likelihood")
        for index, (completion,) in enumerate(drawn[:KL_QUESTIONS])
    ]
    total, tokens = 0.0, 0
    for part, scores in score_rows(start, test.prompts, rows):
        for row, own in zip(part, scores, strict=True):
            assert row.old is not None
            total += float((row.old - own[: len(row.ids)]).sum())
            tokens += len(row.ids)
    return total / tokens
