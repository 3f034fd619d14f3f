"""Makes rows of the demo: scenes drawn by rule, so the truth of every question is known."""

from __future__ import annotations

from collections.abc import Iterator

from dfgen.config.prompts import PromptsConfig
from dfgen.prompts.rows import SourceRow

#: Columns of the rows, whatever the pipeline file says about columns.
METADATA = ["demo_truth", "kind"]


def read_demo(config: PromptsConfig) -> Iterator[SourceRow]:
    """Yield `count` scenes of `seed`; numbers are scenes counted from 0."""
    from dfgen.demo.scenes import iter_scenes

    for index, scene in enumerate(iter_scenes(config.count, config.seed)):
        values = {
            "question": scene.question,
            "images": scene.image_png,
            "answer": scene.answer,
            "answer_type": scene.answer_type,
            "demo_truth": scene.truth,
            "kind": scene.kind,
        }
        yield SourceRow(f"demo-seed-{config.seed}", index, values)
