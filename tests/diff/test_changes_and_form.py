"""What is form and what is a change: tables by kind, and mutations that must never be form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diff.pairs import diff, list_hunks, marked

FORM = [
    ("The cat sat. the dog ran.", "The cat sat. The dog ran."),
    ("Answer: Yes", "answer: yes"),
    ("It stops. A car waits", "It stops. a car waits"),
    ("so JAVASCRIPT it is", "so JavaScript it is"),
    ("$\\text{Yes}$", "$\\text{yes}$"),
    ("We see:\n- three cats\n- two dogs", "We see:\n* three cats\n* two dogs"),
    ("- 3 cats\n- 2 dogs", "* 3 cats\n* 2 dogs"),
    ("1. three cats\n2. two dogs", "1) three cats\n2) two dogs"),
    ("1. three cats\n2. two dogs", "- three cats\n- two dogs"),
    ("It is −5.", "It is -5."),
    ("pages 30–39", "pages 30-39"),
    ("So the length is 0.50 m", "So the length is 0.5 m"),
    ("it costs $3.50", "it costs $3.5"),
    ("10 000 people", "10,000 people"),
    ("10 000 people", "10000 people"),
    ("x^2", "x^{2}"),
    ("x²", "x^2"),
    ("x² + y³", "x^{2} + y^{3}"),
    ("10⁻⁵ m", "10^{-5} m"),
    ("x₁ = 2", "x_1 = 2"),
    ("H₂O", "H2O"),
    ("2 \\times 3", "2 \\cdot 3"),
    ("2 × 3", "2 * 3"),
    ("6 ÷ 2", "6 \\div 2"),
    ("x ≥ 3", "x >= 3"),
    ("x \\leq 3", "x ≤ 3"),
    ("x ≠ 3", "x != 3"),
    ("a \\to b", "a → b"),
    ("\\frac{a}{b}", "a/b"),
    ("\\frac{a+b}{2}", "(a+b)/2"),
    ("\\sqrt{2}", "√2"),
    ("\\pi r", "π r"),
    ("5 \\text{ cm}", "5 cm"),
    ("\\angle ABC = 30^\\circ", "angle ABC = 30°"),
    ("30^{\\circ}", "30°"),
    ("\\sin x", "sin x"),
    ('He said "yes".', "He said “yes”."),
    ("He said „ja“.", 'He said "ja".'),
    ("don’t", "don't"),
    ("答案是3, 对.", "答案是3，对。"),
    ("共５个", "共5个"),
    ("The word is cafe\u0301.", "The word is caf\u00e9."),
    ("can not", "cannot"),
]


@pytest.mark.parametrize(("wrong", "right"), FORM)
def test_form(wrong: str, right: str) -> None:
    for one, other in ((wrong, right), (right, wrong)):
        result = diff(one, other)
        assert {hunk.kind for hunk in result.hunks} == {"format"}, list_hunks(one, other)
        assert result.is_empty and not result.gap_mask.any()


CHANGE = [
    ("The power is 5 mW.", "The power is 5 MW.", ["mW"]),
    ("The file has 8 Mb.", "The file has 8 MB.", ["Mb"]),
    ("pressure of 3 mPa", "pressure of 3 MPa", ["mPa"]),
    ("It is made of Co.", "It is made of CO.", ["Co"]),
    ("The genotype is Aa.", "The genotype is aa.", ["Aa"]),
    ("the cross AaBb", "the cross Aabb", ["AaBb"]),
    ("triangle ABE is", "triangle abe is", ["ABE"]),
    ("x_{AB} = 3", "x_{ab} = 3", ["AB"]),
    ("set $Max$ now", "set $max$ now", ["Max"]),
    ("print `True` now", "print `true` now", ["True"]),
    ("the US won", "the us won", ["US"]),
    ("x =\n- 5", "x =\n5", ["-"]),
    ("4x\n- 3x\n", "4x\n+ 3x\n", ["-"]),
    ("The roots are\n+ 5\n", "The roots are\n- 5\n", ["+"]),
    ("version 1.10", "version 1.1", ["1.10"]),
    ("section 3.10 of it", "section 3.1 of it", ["3.10"]),
    ("see Fig. 2.10 here", "see Fig. 2.1 here", ["2.10"]),
    ("x = (90 - 2c)/5", "x = (90 - 2c)/75/15", ["5"]),
    ("x = 2^{1.0}", "x = 2^{1}", ["1.0"]),
    ("The matrix A* is B", "The matrix A is B", ["*"]),
    ("now here", "nowhere", ["now here"]),
    ("an ice man", "a nice man", ["an ice"]),
    ("(3,400)", "(3, 400)", ["3,400"]),
    ("x^{n+1}", "x^{n}+1", ["n+1"]),
    ("\\vec a \\times \\vec b", "\\vec a \\cdot \\vec b", ["\\times"]),
    ("\\alpha x", "\\alphax", ["\\alpha x"]),
    ("it is 3/4", "it is 6/8", ["3/4"]),
    (" 🦕🇺🇸👍 ", " 🇺🇸👍 ", ["🦕"]),
    ("二战期间", "第二次世界大战期间", ["二战"]),
    ("图中有三角形。", "图中有正方形。", ["三角形"]),
    ("结果等于二十五。", "结果等于二十六。", ["二十五"]),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "right", "expected"), CHANGE)
def test_change(wrong: str, right: str, expected: list[str]) -> None:
    result = marked(wrong, right)
    assert result and (result == expected or set("".join(expected)) <= set("".join(result)))
    assert not diff(right, wrong).is_empty


SENTENCES = st.sampled_from(
    [
        "The area is {} cm².", "x_{{1}} = {} + y", "$a + {}b = c$", "有{}个红色的圆圈。",
        "- {} red cats\n- two dogs", "\\frac{{{}}}{{7}} of it", "At {}% we stop.", "({}, 8)",
        "x^{{{}}} + 1", "so −{} is it", "**Answer:** {}", "| {} | 5 |", "f({}) = 2", "{}:30 pm",
    ]
)  # fmt: skip


@given(SENTENCES, st.integers(0, 99_999), st.data())
def test_another_digit_is_never_form(frame: str, number: int, data: st.DataObject) -> None:
    digits = str(number)
    at = data.draw(st.integers(0, len(digits) - 1))
    other = data.draw(st.sampled_from([d for d in "0123456789" if d != digits[at]]))
    changed = digits[:at] + other + digits[at + 1 :]
    assert not diff(frame.format(digits), frame.format(changed)).is_empty


@given(SENTENCES, st.integers(1, 999))
def test_another_sign_is_never_form(frame: str, number: int) -> None:
    for one, other in (("-", ""), ("-", "+"), ("−", "")):
        result = diff(frame.format(f"{one}{number}"), frame.format(f"{other}{number}"))
        assert not result.is_empty, list_hunks(frame.format(f"{one}{number}"), frame.format(number))
