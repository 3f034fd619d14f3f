"""The report as people use it, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.browser import Browser

pytestmark = pytest.mark.browser

COUNT = "Number(document.getElementById('count').textContent.replace(/ .*/, '').replace(',', ''))"
CURRENT = "decodeURIComponent(location.hash.slice(1))"


#: For 200 trajectories, by all processes of the browser. What a page does row by row, and once
#: more for every row, takes a minute.
MOST_PROCESSOR_S = 10.0


def test_two_hundred_open_with_little_work_and_without_complaint(
    browser: Browser, report: Path
) -> None:
    before = browser.measure_processor_s()
    browser.open(report)
    spent = browser.measure_processor_s() - before
    painted = browser.run("performance.now()") / 1000
    print(f"200 trajectories: {spent:.2f} s of processor time, ready {painted:.2f} s by the page")
    assert browser.read_console() == []
    assert 0 < spent < MOST_PROCESSOR_S
    assert len(browser.texts(".row.touched")) >= 1
    assert browser.run("document.querySelector('.pictures img').naturalWidth") == 64


def test_the_first_thing_shown_is_a_repaired_answer_beside_its_picture(
    browser: Browser, report: Path
) -> None:
    browser.open(report)
    top, height = browser.run(
        "(({top, height}) => [top, height])"
        "(document.querySelector('.sides').getBoundingClientRect())"
    )
    assert top + height < 900, "both sides are on the first screen"
    assert browser.texts(".sides del.op1")
    assert browser.texts(".sides ins.new")
    assert "Policy’s answer" in browser.texts(".heads .wrong")[0]


def test_j_and_k_walk_through_the_list(browser: Browser, report: Path) -> None:
    browser.open(report)
    first = browser.run(CURRENT)
    browser.press("j")
    browser.wait_for(f"{CURRENT} !== {first!r}")
    assert browser.run("document.querySelectorAll('.item[aria-current]').length") == 1
    browser.press("k")
    browser.wait_for(f"{CURRENT} === {first!r}")
    for _ in range(130):
        browser.press("j")
    browser.wait_for("document.querySelector('.item[aria-current]') !== null")
    assert browser.run(
        "(() => { const box = (selector) => document.querySelector(selector)"
        ".getBoundingClientRect();"
        "const [item, list] = [box('.item[aria-current]'), box('#list')];"
        "return item.top >= list.top - 1 && item.bottom <= list.bottom + 1; })()"
    ), "the current one stays in sight"


def test_an_address_points_at_a_trajectory(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.press("jjj")
    address = browser.run("location.hash")
    question = browser.texts("h1")
    browser.open(report, address)
    assert browser.run("location.hash") == address
    assert browser.texts("h1") == question


def test_filters_narrow_the_list_and_can_be_taken_back(browser: Browser, report: Path) -> None:
    browser.open(report)
    total = len(browser.texts("#list .item"))
    assert total == 100  # the first batch of 200
    browser.click(".chip[data-source=outcome]")
    browser.wait_for(f"{COUNT} < 200")
    count = browser.run(COUNT)
    results = browser.texts("#list .result")
    assert len(results) == count
    assert all(text.startswith("✗") for text in results)
    browser.run(
        "(() => { const select = document.getElementById('reason'); select.selectedIndex = 1;"
        "select.dispatchEvent(new Event('change')); })()"
    )
    browser.wait_for(f"{COUNT} < {count}")
    assert len(set(browser.texts("#list .result"))) == 1
    browser.click("#clear")
    browser.wait_for("document.querySelectorAll('#list .item').length === 100")


@pytest.mark.parametrize(("name", "value"), [("kind", "insertion"), ("role", "independent")])
def test_edits_and_steps_can_be_filtered(
    browser: Browser, report: Path, name: str, value: str
) -> None:
    browser.open(report)
    browser.run(
        "(() => { const select = document.getElementById(arguments[0]);"
        "select.value = arguments[1]; select.dispatchEvent(new Event('change')); })()",
        *(name, value),
    )
    browser.wait_for(f"{COUNT} < 200")
    assert browser.run(COUNT) > 0
    browser.press("j")
    browser.wait_for("document.querySelector('.item[aria-current]') !== null")
    words = {"insertion": ".gap", "independent": ".role.independent"}[value]
    browser.wait_for(f"document.querySelector('#view {words}') !== null")


def test_search_finds_questions_answers_and_repairs(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.press("/")
    assert browser.run("document.activeElement.id") == "search"
    browser.press("counting GIVES yellow")
    browser.wait_for(f"{COUNT} < 200")
    assert 0 < browser.run(COUNT) < 200
    browser.press(" xyzzy")
    browser.wait_for("document.querySelector('#list .none') !== null")
    browser.press("\ue00c")  # Escape leaves the field, so that keys are commands again
    assert browser.run("document.activeElement.id") != "search"


def test_help_overview_and_switches_have_keys(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.press("?")
    browser.wait_for("document.getElementById('help').open")
    browser.press("\ue00c")
    browser.wait_for("!document.getElementById('help').open")
    browser.press("o")
    browser.wait_for("!document.getElementById('overview').hidden")
    assert len(browser.texts(".chart")) >= 9
    assert browser.run("location.hash") == "#overview"
    browser.press("o")
    for key, name in (("m", "only-mask"), ("p", "doubt"), ("t", "edges")):
        browser.press(key)
        assert browser.run(f"document.body.classList.contains('{name}')")
        browser.press(key)
    browser.press("d")
    assert browser.run("document.documentElement.dataset.theme") == "dark"
    browser.open(report)
    assert browser.run("document.documentElement.dataset.theme") == "dark", "it is remembered"
    browser.press("d")
    assert browser.run("document.documentElement.dataset.theme") == "light"
    assert browser.read_console() == []


def test_a_token_tells_its_probability_and_lights_the_other_side(
    browser: Browser, report: Path
) -> None:
    from selenium.webdriver import ActionChains

    browser.open(report)
    token = browser.driver.find_element("css selector", ".sides del.op1 .token")
    ActionChains(browser.driver).move_to_element(token).perform()
    browser.wait_for("!document.getElementById('tip').hidden")
    tip = browser.texts("#tip")[0]
    assert "Probability" in tip
    assert "%" in tip
    assert "In the mask" in tip
    assert browser.run("document.querySelectorAll('.sides ins.lit').length") == 1
    assert browser.run("document.querySelectorAll('.hunks .lit').length") == 1


def test_colour_is_never_the_only_sign(browser: Browser, report: Path) -> None:
    browser.open(report)
    lines = {
        selector: browser.run(
            "getComputedStyle(document.querySelector(arguments[0])).textDecorationLine", selector
        )
        for selector in (".op1", ".op2", ".new")
    }
    assert lines == {".op1": "underline", ".op2": "line-through", ".new": "underline"}
    assert browser.run(
        "[...document.querySelectorAll('#view .run')]"
        ".every((node) => ['DEL', 'INS'].includes(node.tagName))"
    )
    assert browser.run(
        "[...document.querySelectorAll('svg[role=img], #view img, .gap[role=img]')]"
        ".every((node) => node.getAttribute('aria-label') || node.alt)"
    )
    assert browser.run(
        "[...document.querySelectorAll('button, input, select')]"
        ".every((node) => node.textContent.trim() || node.ariaLabel || node.closest('label'))"
    )


@pytest.mark.parametrize("number", range(7))
def test_hostile_texts_are_only_texts(browser: Browser, hostile: Path, number: int) -> None:
    from tests.report.hostile import ATTACKS, PICTURE_NAME

    browser.open(hostile, f"#p{number}-0")
    text = ATTACKS[number]
    assert text in browser.texts("h1")[0]
    assert text in "".join(browser.texts(".text"))
    assert text in browser.texts(".attempts pre")[0]
    assert PICTURE_NAME in browser.texts("figcaption")[0]
    assert text in "".join(browser.texts(".hunks .reason"))
    browser.press("o")
    browser.press("o")
    browser.press("/")
    browser.press(text[:12])
    browser.press("\ue00c")
    assert browser.run("window.hit") is None
    assert browser.run("document.querySelectorAll('#view script, #view svg[onload]').length") == 0
    assert browser.run("[...document.images].every((image) => image.src.startsWith('data:'))")
    assert browser.read_console() == []


@pytest.mark.parametrize(
    ("name", "width", "height", "dark", "address"),
    [
        ("light", 1440, 900, False, ""),
        ("dark", 1440, 900, True, ""),
        ("phone", 390, 844, False, ""),
        ("phone-dark", 390, 844, True, ""),
        ("tablet", 820, 1180, False, ""),
        ("overview", 1440, 1100, False, "#overview"),
        ("overview-phone", 390, 844, False, "#overview"),
    ],
)
def test_nothing_is_wider_than_the_window(
    browser: Browser,
    report: Path,
    shots: Path,
    *,
    name: str,
    width: int,
    height: int,
    dark: bool,
    address: str,
) -> None:
    browser.resize(width, height, dark=dark, scale=2 if width < 600 else 1)
    browser.open(report, address)
    assert browser.run("document.documentElement.scrollWidth") <= width
    ground = browser.run("getComputedStyle(document.documentElement).backgroundColor")
    assert (ground == "rgb(21, 23, 27)") is dark
    browser.save_screenshot(shots / f"{name}.png")
    print(f"screenshot: {shots / name}.png")


def test_paper_shows_the_trajectory_and_the_overview(
    browser: Browser, report: Path, shots: Path
) -> None:
    import base64

    browser.open(report)
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    data = base64.b64decode(printed["data"])
    (shots / "print.pdf").write_bytes(data)
    assert data.count(b"/Type /Page\n") >= 2
