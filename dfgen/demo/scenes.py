"""Makes questions about pictures, by seed, whose answers are known.

``iter_scenes`` gives the demo prompts; ``draw_facts`` gives the same distribution by the batch for
training. Scene ``i`` of a seed depends on the seed and ``i`` alone: asking for more scenes never
changes the earlier ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfgen.demo.drawing import CELLS, EMPTY, MAX_GREY, RADII, Layout, draw_pictures, encode_png
from dfgen.demo.questions import (
    KINDS,
    MAX_COUNT,
    SORTS,
    Kind,
    Wording,
    conclude,
    write_answer,
    write_question,
)

MAX_DISTRACTORS = 4
#: Share of each kind of question, in ``KINDS`` order.
KIND_SHARES = (0.4, 0.3, 0.3)


@dataclass(frozen=True)
class Scene:
    """A question about a picture.

    Attributes:
        question: what is asked, plain text without an image placeholder.
        image_png: 64 x 64 RGB picture as PNG bytes.
        answer: the right final answer, for example "5", "red circles" or "equal".
        answer_type: "numeric" or "text": how to compare answers.
        kind: "sum", "difference" or "compare".
        truth: JSON-able facts for ``dfgen.demo.truth``: kind, the two sorts asked about, their
            counts, the answer, and the sort of every cell in reading order (null for empty).
    """

    question: str
    image_png: bytes
    answer: str
    answer_type: str
    kind: str
    truth: dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """N questions with what their pictures show.

    Attributes:
        kinds: N kinds of question.
        sorts: int64 [N, 2], the two sorts asked about, never equal.
        counts: int64 [N, 2], how often each occurs, 0..4.
        layout: what to draw.
    """

    kinds: list[Kind]
    sorts: NDArray[np.int64]
    counts: NDArray[np.int64]
    layout: Layout

    def question(self, index: int) -> str:
        """Word question ``index``."""
        sorts = self.sorts[index]
        return write_question(self.kinds[index], int(sorts[0]), int(sorts[1]))

    def answer(self, index: int, counts: tuple[int, int], wording: Wording) -> str:
        """Write the answer to question ``index`` that follows from these counts."""
        sorts = self.sorts[index]
        return write_answer(self.kinds[index], (int(sorts[0]), int(sorts[1])), counts, wording)

    def truth(self, index: int) -> dict[str, Any]:
        """Return the JSON-able facts about question ``index``."""
        names = [SORTS[sort] for sort in self.sorts[index]]
        counts = [int(count) for count in self.counts[index]]
        kind = self.kinds[index]
        cells = [None if sort == EMPTY else SORTS[sort] for sort in self.layout.cells[index]]
        return {
            "kind": kind,
            "sorts": names,
            "counts": counts,
            "answer": conclude(kind, names[0], names[1], counts[0], counts[1])[1],
            "cells": cells,
        }


def draw_facts(rng: np.random.Generator, count: int) -> Facts:
    """Draw N questions: sorts, counts and distractors uniform, objects in random cells."""
    kinds: list[Kind] = [KINDS[i] for i in rng.choice(len(KINDS), size=count, p=KIND_SHARES)]
    first = rng.integers(0, len(SORTS), size=count)
    second = (first + rng.integers(1, len(SORTS), size=count)) % len(SORTS)
    counts = rng.integers(0, MAX_COUNT + 1, size=(count, 2))
    distractors = rng.integers(0, MAX_DISTRACTORS + 1, size=(count, 1))
    # A draw from the 10 sorts that are not asked about: skip over the two that are.
    other = rng.integers(0, len(SORTS) - 2, size=(count, CELLS))
    low, high = np.minimum(first, second)[:, None], np.maximum(first, second)[:, None]
    other = other + (other >= low)
    other = other + (other >= high)
    place = np.argsort(rng.random((count, CELLS)), axis=1)
    end_a, end_ab = counts[:, :1], counts.sum(axis=1, keepdims=True)
    cells = np.full((count, CELLS), EMPTY, dtype=np.int64)
    cells = np.where(place < end_ab + distractors, other, cells)
    cells = np.where(place < end_ab, second[:, None], cells)
    cells = np.where(place < end_a, first[:, None], cells)
    shape = (count, CELLS)
    layout = Layout(
        cells=cells.astype(np.int8),
        shift_x=rng.integers(-1, 2, size=shape).astype(np.int8),
        shift_y=rng.integers(-1, 2, size=shape).astype(np.int8),
        radius=rng.integers(0, len(RADII), size=shape).astype(np.int8),
        grey=rng.integers(0, MAX_GREY + 1, size=count).astype(np.uint8),
    )
    return Facts(kinds, np.stack([first, second], axis=1), counts, layout)


def iter_scenes(count: int, seed: int) -> Iterator[Scene]:
    """Yield the first ``count`` scenes of a seed."""
    for index in range(count):
        facts = draw_facts(np.random.default_rng([seed, index]), 1)
        truth = facts.truth(0)
        yield Scene(
            question=facts.question(0),
            image_png=encode_png(draw_pictures(facts.layout)[0]),
            answer=truth["answer"],
            answer_type="text" if facts.kinds[0] == "compare" else "numeric",
            kind=facts.kinds[0],
            truth=truth,
        )
