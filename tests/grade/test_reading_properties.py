"""What holds for every answer of a kind: itself is right, one digit or sign less is wrong."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfgen.config.grade import GradeConfig
from dfgen.grade import GradeItem, Verdict
from dfgen.grade.grading import grade_inline

whole = st.integers(1, 10**7).map(str)
digit = st.integers(2, 9).map(str)
number = st.one_of(
    whole,
    whole.map("-{}".format),
    st.tuples(whole, st.integers(1, 9999)).map(lambda pair: f"{pair[0]}.{pair[1]}"),
)
pair = st.tuples(number, number)
clock = st.tuples(st.integers(1, 12), st.integers(10, 59)).map(lambda t: f"{t[0]}:{t[1]}")
unit = st.sampled_from(
    ["cm", "kg", "m/s", "km/h", "kΩ", "MW", "mL", "°C", "dollars", "hours", "cm^2"]
)
KINDS = {
    "number": number,
    "fraction": st.tuples(whole, whole).map(lambda t: rf"\frac{{{t[0]}}}{{{int(t[1]) + 1}}}"),
    "quantity": st.tuples(number, unit).map(" ".join),
    "percent": number.map("{}%".format),
    "money": whole.map("${}".format),
    "point": pair.map(lambda t: f"({t[0]}, {t[1]})"),
    "interval": pair.map(lambda t: f"[{t[0]}, {t[1]})"),
    "set": pair.map(lambda t: rf"\{{{t[0]}, {t[1]}\}}"),
    "list": st.lists(number, min_size=2, max_size=5).map(", ".join),
    "clock": clock,
    "time of day": st.tuples(clock, st.sampled_from(["AM", "PM"])).map(" ".join),
    "ratio": st.tuples(whole, digit).map(":".join),
    "range": st.tuples(whole, whole).map("-".join),
    "bound": number.map("x > {}".format),
    "compound": st.tuples(digit, st.integers(10, 59)).map(lambda t: f"{t[0]} hours {t[1]} minutes"),
    "share": st.tuples(whole, whole).map(" out of ".join),
    "remainder": st.tuples(whole, whole).map(" R ".join),
    "modulo": st.tuples(whole, digit).map(lambda t: f"{t[0]} (mod {t[1]})"),
    "product": st.tuples(whole, whole).map(" × ".join),
    "root": st.tuples(digit, whole).map(lambda t: rf"{t[0]}\sqrt{{{t[1]}1}}"),
    "scientific": st.tuples(number, st.integers(2, 30)).map(
        lambda t: rf"{t[0]} \times 10^{{{t[1]}}}"
    ),
    "polynomial": st.tuples(digit, whole).map(lambda t: f"{t[0]}x^2+{t[1]}x"),
    "equation": st.tuples(digit, digit, whole).map(lambda t: f"{t[0]}x - {t[1]}y + {t[2]} = 0"),
    "base": st.integers(100, 777).map("{}_8".format),
    "name": st.tuples(st.sampled_from(["Figure", "Apollo", "Plan"]), whole).map(" ".join),
    "matrix": pair.map(lambda t: rf"\begin{{pmatrix}} {t[0]} & 2 \\ 3 & {t[1]} \end{{pmatrix}}"),
    "date": st.tuples(st.integers(1900, 2100), st.integers(1, 12), st.integers(1, 28)).map(
        lambda t: f"{t[0]}-{t[1]:02}-{t[2]:02}"
    ),
}  # fmt: skip


def decide(completion: str, answer: str) -> Verdict | None:
    return grade_inline(GradeItem(completion, answer), GradeConfig())


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_reference_answers_itself(kind: str, data: st.DataObject) -> None:
    answer = data.draw(KINDS[kind])
    for completion in (answer, rf"\boxed{{{answer}}}", f"We look.\n\nAnswer: {answer}"):
        verdict = decide(completion, answer)
        assert verdict is not None and verdict.correct, (answer, completion, verdict)


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_another_digit_is_never_accepted(kind: str, data: st.DataObject) -> None:
    answer = data.draw(KINDS[kind])
    # Zeros in front or behind a decimal point say nothing.
    places = [match.start() for match in re.finditer(r"\d", answer)]
    place = data.draw(st.sampled_from(places))
    other = str((int(answer[place]) + data.draw(st.integers(1, 9))) % 10)
    changed = answer[:place] + other + answer[place + 1 :]
    verdict = decide(rf"\boxed{{{changed}}}", answer)
    assert verdict is None or not verdict.correct, (answer, changed, verdict)


@pytest.mark.parametrize(
    "kind", ["number", "fraction", "quantity", "percent", "root", "scientific"]
)
@settings(max_examples=25, deadline=None)
@given(data=st.data(), minus=st.sampled_from("-−–—‒"))
def test_another_sign_is_never_accepted(kind: str, data: st.DataObject, minus: str) -> None:
    answer = data.draw(KINDS[kind])
    changed = answer[1:] if answer.startswith("-") else minus + answer
    verdict = decide(rf"\boxed{{{changed}}}", answer)
    assert verdict is None or not verdict.correct, (answer, changed, verdict)


FORMS = [
    "{}", "${}$", r"\[{}\]", "**{}**", r"\boxed{{{}}}", "The answer is {}.", "= {}", "x = {}",
    "<answer>{}</answer>", "It is {}.", "**Answer:** {}", r"$\boxed{{{}}}$", "So the result is {}.",
    "Die Antwort ist {}.", "答案是{}。", "### Final Answer\n\n{}", "The final answer is: $${}$$",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=15, deadline=None)
@given(value=st.integers(-99999, 99999))
def test_the_same_number_in_another_form(form: str, value: int) -> None:
    verdict = decide(form.format(value), str(value))
    assert verdict is not None and verdict.correct, verdict
    wrong = decide(form.format(value + 1), str(value))
    assert wrong is not None and not wrong.correct, wrong


@settings(max_examples=60, deadline=None)
@given(value=st.integers(1000, 10**9))
def test_the_same_number_grouped(value: int) -> None:
    for written in (f"{value:,}", f"{value:,}".replace(",", " "), f"{value:_}", f"{value}.0"):
        verdict = decide(rf"\boxed{{{written}}}", str(value))
        assert verdict is not None and verdict.correct, (written, verdict)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.integers(-50, 50), min_size=2, max_size=6, unique=True), data=st.data())
def test_a_list_may_come_in_any_order_and_a_point_may_not(
    values: list[int], data: st.DataObject
) -> None:
    other = data.draw(st.permutations(values))
    listed, turned = (", ".join(map(str, some)) for some in (values, other))
    verdict = decide(rf"\boxed{{{turned}}}", listed)
    assert verdict is not None and verdict.correct
    point = decide(rf"\boxed{{({turned})}}", f"({listed})")
    assert point is not None and point.correct is (values == other)
    missing = decide(rf"\boxed{{{', '.join(map(str, values[1:]))}}}", listed)
    assert missing is not None and not missing.correct
