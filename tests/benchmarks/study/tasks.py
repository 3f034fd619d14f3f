"""Gives both tasks one face: `chains` (long answers) and `steps` (the demo's four-step answers)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfgen.demo import locate_model
from dfgen.demo.batches import draw_wording, render_policy_prompt
from dfgen.demo.drawing import draw_pictures
from dfgen.demo.evaluate import is_right as is_step_right
from dfgen.demo.scenes import draw_facts
from dfgen.demo.truth import true_repair
from tests.benchmarks.study.chain_truth import is_right, repair_chain
from tests.benchmarks.study.chains import draw_chains

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Problem:
    """One question with what is known about it.

    Attributes:
        prompt: as the policy reads it, picture placeholders included.
        picture: uint8 [64, 64, 3].
        is_right: grades a whole answer by its end.
        repair: from an answer to its ideal repair, the same text if all is true, None if garbled.
        write: a true answer in a wording drawn at random.
    """

    prompt: str
    picture: NDArray[np.uint8]
    is_right: Callable[[str], bool]
    repair: Callable[[str], str | None]
    write: Callable[[np.random.Generator], str]


@dataclass(frozen=True)
class Task:
    """A source of questions.

    Attributes:
        trained: kinds of question that the arms train on.
        untrained: kinds that tell what is forgotten.
        max_tokens: enough for any answer in the grammar.
        starts: names of start models with the directory of each.
        draw: N problems of some kinds, kinds in turn.
    """

    name: str
    trained: tuple[str, ...]
    untrained: tuple[str, ...]
    max_tokens: int
    starts: dict[str, Path]
    draw: Callable[[np.random.Generator, int, Sequence[str]], list[Problem]]


def draw_chain_problems(
    rng: np.random.Generator, count: int, kinds: Sequence[str]
) -> list[Problem]:
    """Draw long chains."""
    chains, pictures = draw_chains(rng, count, tuple(kinds))
    return [
        Problem(
            prompt=render_policy_prompt(chain.question),
            picture=picture,
            is_right=lambda text, chain=chain: is_right(chain, text),  # type: ignore[misc]
            repair=lambda text, chain=chain: repair_chain(chain, text),  # type: ignore[misc]
            write=chain.write,
        )
        for chain, picture in zip(chains, pictures, strict=True)
    ]


def draw_step_problems(rng: np.random.Generator, count: int, kinds: Sequence[str]) -> list[Problem]:
    """Draw the demo's questions; those of other kinds are passed over."""
    problems: list[Problem] = []
    while len(problems) < count:
        facts = draw_facts(rng, 1)
        if facts.kinds[0] != kinds[len(problems) % len(kinds)]:
            continue
        problems.append(make_step_problem(facts, facts.truth(0)))
    return problems


def make_step_problem(facts: Any, truth: dict[str, Any]) -> Problem:
    """Wrap one question of the demo."""
    counts = (int(facts.counts[0][0]), int(facts.counts[0][1]))
    return Problem(
        prompt=render_policy_prompt(facts.question(0)),
        picture=draw_pictures(facts.layout)[0],
        is_right=lambda text: is_step_right(text, truth),
        repair=lambda text: true_repair(text, truth),
        write=lambda rng: facts.answer(0, counts, draw_wording(rng, facts.kinds[0])),
    )


TASKS = {
    "chains": Task(
        name="chains",
        trained=("shapes", "colours"),
        untrained=("count",),
        max_tokens=84,
        starts={share: MODELS / f"chains-{share}" for share in ("10", "30", "55")},
        draw=draw_chain_problems,
    ),
    "steps": Task(
        name="steps",
        trained=("sum", "difference"),
        untrained=("compare",),
        max_tokens=56,
        starts={
            "10": MODELS / "steps-10",
            "30": MODELS / "steps-30",
            "55": locate_model("policy"),
        },
        draw=draw_step_problems,
    ),
}
