"""Placeholders are counted against the pictures, and pictures measured against their limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.prompts import ImageLimits, PromptsConfig
from dfgen.errors import RowError
from dfgen.prompts.assembling import PromptAssembler
from dfgen.prompts.image_check import verify_image
from dfgen.prompts.questions import (
    check_placeholders,
    count_placeholders,
    has_placeholder,
    replace_placeholders,
)
from dfgen.prompts.rows import SourceRow
from dfgen.records import Prompt
from tests.prompts.source_files import read, write_lines
from tests.support import pictures

FORMS = (
    "<image>",
    "<|image|>",
    "<|vision_start|><|image_pad|><|vision_end|>",
    "<|vision_start|>" + "<|image_pad|>" * 9 + "<|vision_end|>",
    "<|image_pad|>",
    "<start_of_image>",
    "<image_soft_token>",
    "<start_of_image><image_soft_token><image_soft_token><end_of_image>",
    "<img><IMG_CONTEXT><IMG_CONTEXT></img>",
    "<IMG_CONTEXT>",
    "<image_placeholder>",
    "<|media_pad|>",
    "[IMG]",
)
NUMBERED = ("<image1>", "<image 2>", "<image_3>", "<|image_4|>")


def assemble(question: Any, images: int, **cells: Any) -> Prompt:
    config = PromptsConfig(
        path="x.jsonl",
        columns={"choices": "choices", "solution": "solution"},
        images={"min_per_prompt": 0},
    )
    data = [pictures.make_png(number) for number in range(images)]
    values = {"question": question, "answer": "A", "images": data, **cells}
    return PromptAssembler(config).assemble(SourceRow("x.jsonl", 1, values))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_one_picture_and_leaves_nothing_behind(form: str) -> None:
    assert count_placeholders(form) == 1
    assert assemble(f"{form}\nHow many?", 1).question == "How many?"
    assert assemble(f"Is {form} red?", 1).question == "Is [image 1] red?"
    assert assemble(f"Is {form} like {form}?", 2).question == "Is [image 1] like [image 2]?"
    for count in (0, 2, 3):
        with pytest.raises(RowError, match=r"stand for 1 pictures .* the row has") as caught:
            assemble(f"{form}\nHow many?", count)
        assert caught.value.reason == "placeholder_mismatch"
        assert caught.value.evidence["images"] == count


@given(st.lists(st.sampled_from(FORMS), max_size=4), st.integers(0, 4))
def test_as_many_pictures_as_placeholders(forms: list[str], count: int) -> None:
    question = "What? " + " and ".join(forms) + " so."
    if forms and len(forms) != count:
        with pytest.raises(RowError, match="placeholder_mismatch"):
            check_placeholders([question], None, count)
    else:
        check_placeholders([question], None, count)
    assert not has_placeholder(replace_placeholders(question))


@pytest.mark.parametrize(
    ("question", "choices", "solution", "count", "fits"),
    [
        ("Is <image 1> above <image 2>?", [], None, 2, True),
        ("Is <image 1> above <image 2>?", [], None, 1, False),
        ("Is <image 1> above <image 2>?", [], None, 3, False),
        ("Is <image 1> like <image 1>?", [], None, 1, True),
        ("Is it <image 3>?", [], None, 1, False),
        ("Is it <image_0> or <image_1>?", [], None, 2, True),
        ("Which is <image 1>?", ["<image 2>", "<image 3>"], None, 3, True),
        ("Which is <image 1>?", ["<image 2>", "<image 3>"], None, 2, False),
        ("Which is <image>?", ["<image>", "<image>"], None, 3, True),
        ("Which?", ["<image>", "<image>"], None, 2, True),
        ("Which?", ["<image>", "<image>"], None, 1, False),
        ("Is <image 1> red?", [], "As <image 2> shows.", 2, True),
        ("Is <image> red?", [], "As <image> shows.", 1, True),
        ("Is it red?", [], "As <image 7> shows.", 2, True),
        ("Is it red?", [], None, 2, True),
        ("a <image b>?", [], None, 0, True),
    ],
)
def test_numbers_name_pictures(
    question: str, choices: list[str], solution: str | None, count: int, fits: bool
) -> None:
    if fits:
        assemble(question, count, choices=choices or None, solution=solution)
    else:
        with pytest.raises(RowError, match="placeholder_mismatch"):
            assemble(question, count, choices=choices or None, solution=solution)


def test_placeholders_of_choices_are_counted_on_from_the_question() -> None:
    prompt = assemble("Which is like <image> here?", 3, choices=["<image>", "not <image>"])
    assert prompt.question == "Which is like [image 1] here?"
    assert prompt.choices == ["[image 2]", "not [image 3]"]


def test_blocks_of_a_chat_are_placeholders(tmp_path: Path) -> None:
    for number in (0, 1):
        (tmp_path / f"{number}.png").write_bytes(pictures.make_png(number))
    block = {"type": "image"}
    text = {"type": "text", "text": "How many?"}
    rows = [
        {"question": [{"role": "user", "content": content}], "answer": "1", "images": images}
        for content, images in (
            ([block, text], ["0.png"]),
            ([block, text], ["0.png", "1.png"]),
            ([block, block, text], ["0.png", "1.png"]),
        )
    ]
    file = write_lines(tmp_path / "rows.jsonl", rows)
    found = read(source="jsonl", path=str(file))
    assert [getattr(row, "reason", "kept") for row in found] == [
        *("kept", "placeholder_mismatch", "kept")
    ]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(1, 8))
def test_sides_and_their_ratio_are_limited(
    width: int, height: int, min_side: int, max_aspect: int
) -> None:
    data = pictures.make_png(width=width, height=height)
    limits = ImageLimits(min_side=min_side, max_aspect=max_aspect)
    small = min(width, height) < min_side
    narrow = max(width, height) > max_aspect * min(width, height)
    try:
        verify_image(data, limits)
        reason = None
    except RowError as error:
        reason = error.reason
        assert {"width": width, "height": height} == error.evidence
        assert ("images.min_side" if small else "images.max_aspect") in error.detail
    assert reason == ("image_too_small" if small else "image_too_narrow" if narrow else None)


def test_a_picture_outside_of_the_limits_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("decoded")

    data = pictures.encode(PIL.Image.new("RGB", (402, 2)), "PNG")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(RowError, match=r"402 x 2 .* images\.max_aspect = 200"):
        verify_image(data, ImageLimits())
