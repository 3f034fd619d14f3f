"""What `make train-demo` measures is held out, and its script stays one that people copy."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dfgen.demo import locate_model
from dfgen.demo.drawing import draw_pictures, encode_png
from dfgen.demo.evaluate import STREAM, mark_answers
from dfgen.demo.scenes import draw_facts, iter_scenes
from tests.support.code_trees import parse_code

SCRIPT = Path(__file__).parents[2] / "pipelines/train_demo.py"


def test_the_script_is_short() -> None:
    text = SCRIPT.read_text("utf-8")
    assert len(text.splitlines()) <= 60
    assert text.count("# EDIT") >= 4
    assert parse_code(text).body


def test_no_question_of_the_run_is_asked_again() -> None:
    text = SCRIPT.read_text("utf-8")
    seed, count = (int(re.search(p, text)[1]) for p in (r"seed=(\d+)", r"QUESTIONS = (\d+)"))
    facts = draw_facts(np.random.default_rng([seed, STREAM]), count)
    pictures = draw_pictures(facts.layout)
    asked = {(facts.question(i), encode_png(pictures[i])) for i in range(count)}
    assert len(asked) == count
    assert not asked & {(scene.question, scene.image_png) for scene in iter_scenes(200, seed=7)}


@pytest.mark.filterwarnings("ignore")
def test_answers_are_marked_in_pairs() -> None:
    """Equal seeds are equal questions: a greedy policy gets the same marks again."""
    transformers = pytest.importorskip(
        "transformers", reason="models run in it: pip install '.[local]'"
    )
    folder = locate_model("policy")
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    one, two = (mark_answers(model, tokenizer, count=40, seed=2027, sample=False) for _ in range(2))
    assert one.dtype == bool and one.tolist() == two.tolist()
    assert 0.4 < one.mean() < 0.9
    other = mark_answers(model, tokenizer, count=40, seed=2028, sample=False)
    assert other.tolist() != one.tolist()
