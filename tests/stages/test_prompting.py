"""Templates: fields are replaced, nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.engines.base import ImageData
from dfgen.errors import ConfigError
from dfgen.records import Image, ImageInfo, Prompt
from dfgen.stages.prompting import Template, build_messages, format_choices

PICTURE = ImageData(b"data", "ab" * 32, "image/png")


def make_prompt(**values: object) -> Prompt:
    base = {
        "prompt_id": "0" * 32,
        "question": "How many?",
        "images": [Image(bytes=b"data", path=None)],
        "image_info": [ImageInfo(sha256="ab" * 32, format="PNG", width=1, height=1)],
        "choices": [],
        "answer": "3",
        "answer_type": "auto",
        "source": "x:1",
        "metadata": "{}",
    }
    return Prompt.model_validate({**base, **values})


def test_pictures_stand_where_the_template_says() -> None:
    template = Template("Look: {images} {question}", ("question",), "t")
    assert template.fill({"question": "q"}, [PICTURE, PICTURE]) == (
        "Look: ",
        PICTURE,
        PICTURE,
        " q",
    )


def test_pictures_come_first_without_a_mark() -> None:
    assert Template("{question}", ("question",), "t").fill({"question": "q"}, [PICTURE]) == (
        PICTURE,
        "q",
    )


@given(st.text())
def test_values_are_never_read_as_templates(text: str) -> None:
    template = Template("<{completion}>", ("completion",), "t")
    assert template.fill({"completion": text}, []) == (f"<{text}>",)


def test_unknown_field_is_named_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"\{answr\}") as error:
        Template("{answr}", ("answer",), "repair.prompt")
    assert "{answer}" in str(error.value)


def test_unbalanced_brace() -> None:
    with pytest.raises(ConfigError, match="not well formed"):
        Template("{question", ("question",), "sample.prompt")


def test_choices_get_letters() -> None:
    assert format_choices(["one", "two"]) == "\nA. one\nB. two"
    assert format_choices([]) == ""


def test_messages_carry_system_and_pictures() -> None:
    template = Template("{images}{question}{choices}", ("question", "choices"), "t")
    system, user = build_messages(make_prompt(choices=["x"]), template, "Be brief.")
    assert (system.role, system.content) == ("system", ("Be brief.",))
    assert user.content == (PICTURE, "How many?\nA. x")
