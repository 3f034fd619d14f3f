"""Scenes are seeded, and what they claim is what the picture shows."""

import json
import subprocess
import sys
from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dfgen.demo.scenes import KIND_SHARES, Scene, iter_scenes

NAMES = {(220, 40, 40): "red", (40, 190, 60): "green", (50, 90, 235): "blue"}
NAMES[(230, 210, 40)] = "yellow"


def decode(scene: Scene) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(scene.image_png)))


def name_cell(cell: NDArray[np.uint8]) -> str | None:
    """Name what a 16 x 16 cell holds from its pixels alone, by outline widths per row."""
    lit = cell.max(axis=2) > 30
    if not lit.any():
        return None
    colours = {tuple(int(level) for level in pixel) for pixel in cell[lit]}
    assert len(colours) == 1
    widths = lit.sum(axis=1)
    widths = widths[widths > 0]
    if len(set(widths.tolist())) == 1:
        shape = "squares"
    elif widths[-1] == widths.max() and widths[0] < widths.max() / 2:
        shape = "triangles"
    else:
        shape = "circles"
    return f"{NAMES[colours.pop()]} {shape}"


def test_pictures_show_what_the_truth_says() -> None:
    for scene in iter_scenes(200, seed=11):
        picture = decode(scene)
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8
        names = [
            name_cell(picture[row : row + 16, column : column + 16])
            for row in range(0, 64, 16)
            for column in range(0, 64, 16)
        ]
        assert names == scene.truth["cells"]
        seen = Counter(names)
        assert [seen[sort] for sort in scene.truth["sorts"]] == scene.truth["counts"]


def test_answers_follow_from_the_counts() -> None:
    for scene in iter_scenes(200, seed=12):
        a, b = scene.truth["counts"]
        sort_a, sort_b = scene.truth["sorts"]
        assert sort_a != sort_b
        assert sort_a in scene.question
        assert sort_b in scene.question
        if scene.kind == "sum":
            expected = str(a + b)
        elif scene.kind == "difference":
            expected = str(abs(a - b))
        else:
            expected = "equal" if a == b else sort_a if a > b else sort_b
        assert scene.answer == expected == scene.truth["answer"]
        assert scene.answer_type == ("text" if scene.kind == "compare" else "numeric")


def test_scenes_depend_on_seed_and_index_alone() -> None:
    few, many = list(iter_scenes(3, seed=5)), list(iter_scenes(20, seed=5))
    assert few == many[:3]
    assert few != list(iter_scenes(3, seed=6))
    assert len({scene.image_png for scene in many}) == 20


def test_every_kind_occurs_about_as_often_as_it_should() -> None:
    kinds = Counter(scene.kind for scene in iter_scenes(600, seed=1))
    shares = [kinds[kind] / 600 for kind in ("sum", "difference", "compare")]
    assert shares == pytest.approx(KIND_SHARES, abs=0.07)


def test_truth_survives_json() -> None:
    for scene in iter_scenes(20, seed=2):
        assert json.loads(json.dumps(scene.truth)) == scene.truth


def test_importing_scenes_and_truth_is_light() -> None:
    code = (
        "import sys, dfgen.demo.scenes, dfgen.demo.truth; "
        "print([name for name in ('torch', 'transformers', 'tokenizers') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
