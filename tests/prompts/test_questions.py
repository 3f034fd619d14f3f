from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.errors import RowError
from dfgen.prompts.questions import has_placeholder, read_question, replace_placeholders


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How many?", "How many?"),
        ("  How many?\n", "How many?"),
        ("a < b, image > 3", "a < b, image > 3"),
        # at the start, at the end, on a line of their own: removed
        ("<image>How many?", "How many?"),
        ("<image>\nHow many?", "How many?"),
        ("<image><image>\n<image> How many?", "How many?"),
        ("<image1>\n<image2>\nHow many?", "How many?"),
        ("<|image_1|>\nHow many?", "How many?"),
        ("How many?\n<image1>", "How many?"),
        ("How many? <image1>", "How many?"),
        ("A wall.\n<image1>\nHow high?", "A wall.\nHow high?"),
        ("A wall.\n\n<image>\n\nHow high?", "A wall.\n\n\nHow high?"),
        ("<image>\nA\n\nB", "A\n\nB"),
        # inside a sentence: the text refers to its pictures, all stay as plain text
        ("Is <image 1> above <image 2>?", "Is [image 1] above [image 2]?"),
        ("<image 1> is a cat and <image 2> a dog.", "[image 1] is a cat and [image 2] a dog."),
        ("Compare <image_2> and <image_1>", "Compare [image 2] and [image 1]"),
        ("Is <image> like <image> here?", "Is [image 1] like [image 2] here?"),
        ("of this\nsquare?\n<image1>square?\nor", "of this\nsquare?\n[image 1]square?\nor"),
        ("<image>", ""),
        ("", ""),
    ],
)
def test_placeholders(text: str, expected: str) -> None:
    assert replace_placeholders(text) == expected


@given(st.lists(st.sampled_from(["<image>", "<image 2>", "<|image|>", "a", " ", "\n", "?"])))
def test_no_placeholder_survives_and_no_word_is_lost(parts: list[str]) -> None:
    text = "".join(parts)
    result = replace_placeholders(text)
    assert not has_placeholder(result)
    assert re.sub(r"\[image \d+\]", "", result).count("a") == parts.count("a")


@pytest.mark.parametrize(
    ("cell", "text", "pictures"),
    [
        ("How?", "How?", []),
        ([{"role": "user", "content": "How?"}], "How?", []),
        ({"role": "user", "content": "How?"}, "How?", []),
        (
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How?"}],
            "How?",
            [],
        ),
        ([{"from": "human", "value": "<image>\nHow?"}, {"from": "gpt", "value": "So."}],
         "<image>\nHow?", []),
        (
            # as Arrow gives it back: every block has every key
            [{"role": "user", "content": [{"type": "image", "text": None},
                                          {"type": "text", "text": "How?"}]}],
            "<image>How?",
            [],
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": "Is "},
                                          {"type": "image", "image": "a.png"},
                                          {"type": "text", "text": " red?"}]}],
            "Is <image> red?",
            ["a.png"],
        ),
        (
            [{"role": "user", "content": [{"type": "image_url",
                                           "image_url": {"url": "data:image/png;base64,AA"}},
                                          "How?"]}],
            "<image>How?",
            ["data:image/png;base64,AA"],
        ),
    ],
)  # fmt: skip
def test_chats(cell: Any, text: str, pictures: list[Any]) -> None:
    assert read_question(cell) == (text, pictures)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (None, "question_missing"),
        ("", "question_missing"),
        ([], "question_missing"),
        ([{"role": "system", "content": "Be brief."}], "question_missing"),
        ([{"role": "user", "content": None}], "question_missing"),
        (7, "question_invalid"),
        (["a", "b"], "question_invalid"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "question_invalid"),
        ([{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]}], "question_invalid"),
    ],
)
def test_refused(cell: Any, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        read_question(cell)
    assert caught.value.reason == reason


def test_an_object_is_told_how_its_field_is_named() -> None:
    with pytest.raises(RowError) as caught:
        read_question({"lang": 7, "prompt": "How many?"}, "ask")
    assert caught.value.reason == "question_invalid"
    assert caught.value.detail.endswith("name one of its fields, such as ask.prompt")
