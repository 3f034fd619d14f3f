"""Draws long chains: questions about a picture whose answers take twelve looks and twelve sums.

Each line of an answer looks at one cell of the picture and adds it to a running total, so an answer
fails by one bad look or one bad addition among many good ones. Three kinds: `shapes` and `colours`
add up points, `count` counts cells of one colour. Pictures are the demo's; phrases are drawn at
random line by line, so that a small repair can be told from a rewrite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dfgen.demo.drawing import CELLS, EMPTY, MAX_GREY, RADII, Layout, draw_pictures
from dfgen.demo.questions import COLOURS, SHAPES, SORTS

KINDS = ("shapes", "colours", "count")
ADD_PHRASES = ("now", "total", "makes", "sum")
#: Cells that a chain walks over, in reading order.
WALK = 12
POINTS = {
    "shapes": {"empty": 0, "circle": 1, "square": 2, "triangle": 3},
    "colours": {"empty": 0, "red": 1, "green": 2, "blue": 3, "yellow": 4},
}
#: Objects among the cells of the walk, as training has them; the more, the harder.
USUAL = (0, 11)


@dataclass(frozen=True)
class Chain:
    """One question.

    Attributes:
        kind: one of ``KINDS``.
        colour: what `count` counts, index into ``COLOURS``.
        cells: int8 [16], sort of the object in each cell, ``EMPTY`` for none.
    """

    kind: str
    colour: int
    cells: NDArray[np.int8]

    @property
    def question(self) -> str:
        """The question's words; questions of one kind have the same number of tokens."""
        if self.kind == "count":
            return f"Count the {COLOURS[self.colour]} cells in rows 1 to 3."
        return f"Add the points of all {self.kind} in rows 1 to 3."

    @property
    def answer(self) -> str:
        """The right final answer."""
        return str(sum(map(self.value_of, self.list_looks())))

    def list_looks(self) -> list[str]:
        """Say what is seen in each cell of the walk."""
        names = SHAPES if self.kind == "shapes" else COLOURS
        part = [c % len(SHAPES) if self.kind == "shapes" else c // len(SHAPES) for c in self.cells]
        seen = zip(self.cells[:WALK], part, strict=False)
        return ["empty" if cell == EMPTY else names[index] for cell, index in seen]

    def value_of(self, seen: str) -> int:
        """Say what a look, true or false, adds to the total."""
        if self.kind == "count":
            return int(seen == COLOURS[self.colour])
        return POINTS[self.kind][seen]

    def write(self, rng: np.random.Generator) -> str:
        """Write a true answer in a wording drawn at random."""
        return "\n".join(self.write_lines(rng))

    def write_lines(self, rng: np.random.Generator | None = None) -> list[str]:
        """Write the lines of a true answer; without ``rng`` in the first phrase throughout."""
        total, lines = 0, []
        for index, seen in enumerate(self.list_looks()):
            total += self.value_of(seen)
            add = ADD_PHRASES[rng.integers(len(ADD_PHRASES)) if rng else 0]
            lines.append(f"{index + 1} {seen}, {add} {total}")
        return [*lines, f"Answer: {total}"]


def draw_chains(
    rng: np.random.Generator,
    count: int,
    kinds: tuple[str, ...] = KINDS,
    objects: tuple[int, int] = USUAL,
) -> tuple[list[Chain], NDArray[np.uint8]]:
    """Draw N questions, kinds in turn, and their pictures: uint8 [N, 64, 64, 3].

    Args:
        objects: fewest and most objects among the cells of the walk; the others are as full.
    """
    chains = []
    for index in range(count):
        walked = int(rng.integers(objects[0], objects[1] + 1))
        beyond = round(walked * (CELLS - WALK) / WALK)
        order = [rng.permutation(WALK)[:walked], WALK + rng.permutation(CELLS - WALK)[:beyond]]
        cells = np.full(CELLS, EMPTY, dtype=np.int8)
        cells[np.concatenate(order)] = rng.integers(0, len(SORTS), size=walked + beyond)
        chains.append(Chain(kinds[index % len(kinds)], int(rng.integers(len(COLOURS))), cells))
    shape = (count, CELLS)
    layout = Layout(
        cells=np.stack([chain.cells for chain in chains]),
        shift_x=rng.integers(-1, 2, size=shape).astype(np.int8),
        shift_y=rng.integers(-1, 2, size=shape).astype(np.int8),
        radius=rng.integers(0, len(RADII), size=shape).astype(np.int8),
        grey=rng.integers(0, MAX_GREY + 1, size=count).astype(np.uint8),
    )
    return chains, draw_pictures(layout)
