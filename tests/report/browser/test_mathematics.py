"""Formulas, code, and other scripts than Latin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dfgen.report.html import write_page
from tests.report.hostile import NUMBERS, describe_hostile_run, make_mask_row, make_sample

if TYPE_CHECKING:
    from tests.support.browser import Browser

pytestmark = pytest.mark.browser

PAIRS = {
    "digit": (r"So $\frac{3}{4} + x^2 = 7$ holds.", r"So $\frac{3}{4} + x^2 = 8$ holds."),
    "command": (r"Area \(a \times b\) then.", r"Area \(a + b\) then."),
    "cut": (r"It is $\sqrt{16}$ now.", r"It is $\frac{16}{2}$ now."),
    "money": ("It costs $5 and $6 more.", "It costs $5 and $7 more."),
    "code": ("```python\nx = '$a$' + 1\n```\nend 3", "```python\nx = '$a$' + 2\n```\nend 3"),
    "arabic": ("الجواب هو 3 تفاحات", "الجواب هو 4 تفاحات"),
    "chinese": ("图中有3个苹果", "图中有4个苹果"),
    "bad": (r"Look $\frac{$ and \class{x}{y} 3.", r"Look $\frac{$ and \class{x}{y} 4."),
    "trust": (
        r"$\class{evil}{x} \href{javascript:1}{y}$ 3", r"$\class{evil}{x} \href{javascript:1}{y}$ 4"
    ),
    "loop": (r"$\def\a{\a\a}\a$ is 3", r"$\def\a{\a\a}\a$ is 4"),
}  # fmt: skip


def make_pair(number: int, wrong: str, right: str) -> Any:
    sample = make_sample("plain", number)
    name = f"p{number}-0"
    sample.mask.clear()  # type: ignore[attr-defined]
    sample.mask.update(make_mask_row(wrong, right, name=name))  # type: ignore[attr-defined]
    sample.prompt["question"] = wrong  # type: ignore[index]
    return sample


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = [make_pair(number, *pair) for number, pair in enumerate(PAIRS.values())]
    path = tmp_path_factory.mktemp("texts") / "texts.html"
    run = {**describe_hostile_run(), "name": "texts", "shown": len(PAIRS), "total": len(PAIRS)}
    path.write_text(write_page(samples, NUMBERS, run), "utf-8")
    return path


def show(browser: Browser, texts: Path, name: str) -> None:
    browser.open(texts, f"#p{list(PAIRS).index(name)}-0")


def test_a_formula_is_drawn_and_what_changed_in_it_is_marked(
    browser: Browser, texts: Path, shots: Path
) -> None:
    show(browser, texts, "digit")
    assert browser.texts(".sides .wrong math .op1") == ["7"]
    assert browser.texts(".sides .right math .new") == ["8"]
    assert browser.run("document.querySelector('.sides math mfrac') !== null")
    assert browser.run("document.querySelector('h1 math mfrac') !== null")
    browser.save_screenshot(shots / "mathematics.png")
    visible = "getComputedStyle(document.querySelector('.sides .formula > .tex')).display"
    assert browser.run(visible) == "none"
    browser.press("r")
    assert browser.run(visible) == "inline"
    browser.press("r")
    assert browser.read_console() == []


@pytest.mark.parametrize("name", ["command", "cut"])
def test_a_change_of_a_command_is_marked(browser: Browser, texts: Path, name: str) -> None:
    show(browser, texts, name)
    assert browser.run("document.querySelectorAll('.sides .wrong math .run').length") >= 1
    assert browser.run("document.querySelectorAll('.sides .right math .run').length") >= 1


@pytest.mark.parametrize("name", ["money", "code", "bad", "trust", "loop"])
def test_what_is_no_formula_stays_a_text(browser: Browser, texts: Path, name: str) -> None:
    show(browser, texts, name)
    assert browser.run("document.querySelectorAll('.sides math').length") == 0
    wrong = "".join(browser.texts(".sides .row:not(.heads) .wrong .text"))
    assert wrong.replace("\n", "") == PAIRS[name][0].replace("\n", "")
    assert browser.run("document.querySelectorAll('a[href^=javascript], .evil').length") == 0
    assert browser.read_console() == []


def test_code_stands_in_its_own_letters(browser: Browser, texts: Path) -> None:
    show(browser, texts, "code")
    assert len(browser.texts(".wrong .text.code")) >= 1


@pytest.mark.parametrize(("name", "way"), [("arabic", "right"), ("chinese", "left")])
def test_texts_run_in_their_own_direction(
    browser: Browser, texts: Path, shots: Path, name: str, way: str
) -> None:
    show(browser, texts, name)
    gaps = browser.run(
        "(() => { const text = document.querySelector('.sides .row:not(.heads) .wrong .text');"
        "const range = document.createRange(); range.selectNodeContents(text);"
        "const [own, box] = [range.getBoundingClientRect(), text.getBoundingClientRect()];"
        "return [own.left - box.left, box.right - own.right]; })()"
    )
    assert (gaps[0] > gaps[1]) is (way == "right")
    browser.save_screenshot(shots / f"{name}.png")
