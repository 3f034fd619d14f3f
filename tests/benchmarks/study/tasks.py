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
from dfgen.demo.drawing import EMPTY, draw_pictures
from dfgen.demo.evaluate import is_right as is_step_right
from dfgen.demo.questions import SORTS
from dfgen.demo.scenes import draw_facts
from dfgen.demo.truth import closest_repair, true_repair
from tests.benchmarks.study.chain_truth import is_right, read_chain, repair_chain
from tests.benchmarks.study.chains import draw_chains

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Problem:
    """One question with what is known about it.

    Attributes:
        prompt: as the policy reads it, picture placeholders included.
        picture: uint8 [64, 64, 3].
        is_right: grades a whole answer by its end.
        repair: from an answer to its ideal repair, the same text if all is true.
        is_garbled: says whether an answer is outside the grammar.
        write: a true answer in a wording drawn at random.
    """

    prompt: str
    picture: NDArray[np.uint8]
    is_right: Callable[[str], bool]
    repair: Callable[[str], str]
    is_garbled: Callable[[str], bool]
    write: Callable[[np.random.Generator], str]


@dataclass(frozen=True)
class Task:
    """A source of questions.

    Attributes:
        trained: kinds of question that the arms train on.
        untrained: kinds that tell what is forgotten.
        max_tokens: enough for any answer in the grammar.
        model: directory of the start model.
        starts: how hard its questions are made, by about how many percent it gets right: what
            `draw` takes to draw such questions.
        draw: N problems of some kinds, kinds in turn.
    """

    name: str
    trained: tuple[str, ...]
    untrained: tuple[str, ...]
    max_tokens: int
    model: Path
    starts: dict[str, tuple[int, int]]
    draw: Callable[[np.random.Generator, int, Sequence[str], tuple[int, int]], list[Problem]]


def draw_chain_problems(
    rng: np.random.Generator, count: int, kinds: Sequence[str], objects: tuple[int, int]
) -> list[Problem]:
    """Draw long chains; the more objects on the walk, the harder."""
    chains, pictures = draw_chains(rng, count, tuple(kinds), objects)
    return [
        Problem(
            prompt=render_policy_prompt(chain.question),
            picture=picture,
            is_right=lambda text, chain=chain: is_right(chain, text),  # type: ignore[misc]
            repair=lambda text, chain=chain: repair_chain(chain, text),  # type: ignore[misc]
            is_garbled=lambda text, chain=chain: read_chain(chain, text) is None,  # type: ignore[misc]
            write=chain.write,
        )
        for chain, picture in zip(chains, pictures, strict=True)
    ]


def draw_step_problems(
    rng: np.random.Generator, count: int, kinds: Sequence[str], strangers: tuple[int, int]
) -> list[Problem]:
    """Draw the demo's questions; the more objects of other sorts are added, the harder.

    What is asked about, and so how often each answer is right, stays as the demo has it: a hard
    question cannot be answered by knowing which answers are frequent among hard ones.

    Args:
        strangers: fewest and most objects of sorts that are not asked about, put into cells that
            the demo leaves empty, while there are any.
    """
    problems: list[Problem] = []
    while len(problems) < count:
        facts = draw_facts(rng, 1)
        if facts.kinds[0] != kinds[len(problems) % len(kinds)]:
            continue
        cells = facts.layout.cells[0]
        added = int(rng.integers(strangers[0], strangers[1] + 1))
        places = rng.permutation(np.flatnonzero(cells == EMPTY))[:added]
        sorts = [sort for sort in range(len(SORTS)) if sort not in facts.sorts[0]]
        cells[places] = rng.choice(sorts, size=len(places))
        problems.append(make_step_problem(facts, facts.truth(0)))
    return problems


def make_step_problem(facts: Any, truth: dict[str, Any]) -> Problem:
    """Wrap one question of the demo."""
    counts = (int(facts.counts[0][0]), int(facts.counts[0][1]))
    return Problem(
        prompt=render_policy_prompt(facts.question(0)),
        picture=draw_pictures(facts.layout)[0],
        is_right=lambda text: is_step_right(text, truth),
        repair=lambda text: closest_repair(text, truth),
        is_garbled=lambda text: true_repair(text, truth) is None,
        write=lambda rng: facts.answer(0, counts, draw_wording(rng, facts.kinds[0])),
    )


TASKS = {
    "chains": Task(
        name="chains",
        trained=("shapes", "colours"),
        untrained=("count",),
        max_tokens=84,
        model=MODELS / "chains",
        starts={"10": (11, 12), "30": (9, 11), "55": (7, 9)},
        draw=draw_chain_problems,
    ),
    "steps": Task(
        name="steps",
        trained=("sum", "difference"),
        untrained=("compare",),
        max_tokens=56,
        model=locate_model("policy"),
        starts={"10": (8, 10), "30": (4, 5), "55": (0, 0)},
        draw=draw_step_problems,
    ),
}
