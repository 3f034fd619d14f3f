"""Where a step begins."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfgen.config.mask import MaskConfig
from dfgen.diff import split_steps

CASES = [
    ("1. Red: 3 2. Blue: 4 3. Sum: 7", ["1. Red: 3 ", "2. Blue: 4 ", "3. Sum: 7"]),
    ("By (1) and (2) we get 5.", ["By (1) and (2) we get 5."]),
    ("① red 3 ② blue 4 ③ sum 7", ["① red 3 ", "② blue 4 ", "③ sum 7"]),
    (
        "Look.\n```python\nx = 3\n\n# no step\ny = 4\n```\nSo 7.",
        ["Look.\n", "```python\nx = 3\n\n# no step\ny = 4\n```\n", "So 7."],
    ),
    (
        "第一步，求面积。第二步，求周长；第三步，相加！",
        ["第一步，求面积。", "第二步，求周长；", "第三步，相加！"],
    ),
    (
        "**Step 1** Count.\n**Step 2** Add 4.\n### Answer\n7",
        ["**Step 1** Count.\n", "**Step 2** Add 4.\n", "### Answer\n7"],
    ),
    ("Step 1: a. b. Step 2: c. Answer: 5", ["Step 1: a. b. ", "Step 2: c. ", "Answer: 5"]),
    ("Step 1: a\nb\nStep 2: c", ["Step 1: a\nb\n", "Step 2: c"]),
    ("**Step 1:** a\n\nb\n\n**Step 2:** c", ["**Step 1:** a\n\nb\n\n", "**Step 2:** c"]),
    ("### Step 1: a\n### Step 2: b", ["### Step 1: a\n", "### Step 2: b"]),
    ("First. a\n\nSecond b. c", ["First. a\n\n", "Second b. c"]),
    ("We do:\n1. add\n2. divide", ["We do:\n", "1. add\n", "2. divide"]),
    ("- red\n- blue\n", ["- red\n", "- blue\n"]),
    ("<think>We add. It is 5.</think><answer>5</answer>",
     ["<think>We add. ", "It is 5.</think>", "<answer>5</answer>"]),
    ("We add. It is 5.", ["We add. ", "It is 5."]),
    ("We add 3.5 and 4. Then stop!", ["We add 3.5 and 4. ", "Then stop!"]),
    ("See e.g. Fig. 3 and i.e. this. Then go.", ["See e.g. Fig. 3 and i.e. this. ", "Then go."]),
    ("Dr. Who is in. Yes.", ["Dr. Who is in. ", "Yes."]),
    ("So $x = 1. Y$ holds. Then z.", ["So $x = 1. Y$ holds. ", "Then z."]),
    ("So \\[a. B\\] ends. And \\(c. D\\).", ["So \\[a. B\\] ends. ", "And \\(c. D\\)."]),
    ("It costs $5. Then $6. Done.", ["It costs $5. Then $6. ", "Done."]),
    ("Is it? Yes! \"Sure.\" Go.", ["Is it? ", "Yes! ", "\"Sure.\" ", "Go."]),
    ("我数三个。答案是五。", ["我数三个。", "答案是五。"]),
    ("line one\nline two", ["line one\n", "line two"]),
    ("", [""]),
    ("  \n\n a", ["  \n\n a"]),
    ("a\n\n\n\nb", ["a\n\n\n\n", "b"]),
]  # fmt: skip


def cut(text: str, mode: str = "auto") -> list[str]:
    raw = text.encode()
    spans = split_steps(text, MaskConfig(steps=mode))
    return [raw[a:b].decode() for a, b in spans]


@pytest.mark.parametrize(("text", "steps"), CASES)
def test_table(text: str, steps: list[str]) -> None:
    assert cut(text) == steps


def test_modes() -> None:
    text = "One. Two.\nThree.\n\nFour."
    assert cut(text, "lines") == ["One. Two.\n", "Three.\n\n", "Four."]
    assert cut(text, "sentences") == ["One. ", "Two.\n", "Three.\n\n", "Four."]
    assert cut(text, "paragraphs") == ["One. Two.\nThree.\n\n", "Four."]


@given(
    st.text(alphabet="ab .\n!?1-*#$\\()[]<>/世é", max_size=80),
    st.sampled_from(["auto", "lines", "sentences", "paragraphs"]),
)
def test_steps_cover_the_text(text: str, mode: str) -> None:
    spans = split_steps(text, MaskConfig(steps=mode))
    assert spans[0].start == 0 and spans[-1].end == len(text.encode())
    assert all(a.end == b.start for a, b in pairwise(spans))
    assert all(a.start < a.end for a in spans) or text == ""
