"""Links that lead nowhere, a group at a glance, and pictures at full size."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dfgen.report.html import write_page
from tests.report.hostile import NUMBERS, describe_hostile_run, make_sample

if TYPE_CHECKING:
    from tests.support.browser import Browser

pytestmark = pytest.mark.browser

ESCAPE = "\ue00c"
LETTERS = "Total 1234.50 due 07/11"


def make_scan(width: int, height: int, letters: str = LETTERS) -> bytes:
    """A page of print, 14 pixels a line."""
    import PIL.Image
    import PIL.ImageDraw
    import PIL.ImageFont

    picture = PIL.Image.new("RGB", (width, height), "white")
    pen, font = PIL.ImageDraw.Draw(picture), PIL.ImageFont.load_default(14)
    for number, y in enumerate(range(6, height - 14, 22)):
        pen.text((8, y), f"{number} {letters} " * (width // 190), fill=(20, 20, 20), font=font)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A question about a page, a strip and the page's second version."""
    sample = make_sample("plain", 0)
    pictures = [make_scan(600, 800), make_scan(1600, 90), make_scan(600, 800, "Total 1284.50")]
    names = ("page.png", "strip.png", "again.png")
    sample.prompt["images"] = [  # type: ignore[index]
        {"bytes": data, "path": name} for data, name in zip(pictures, names, strict=True)
    ]
    path = tmp_path_factory.mktemp("scans") / "scans.html"
    run = {**describe_hostile_run(), "name": "scans", "shown": 1, "total": 1}
    path.write_text(write_page([sample], NUMBERS, run), "utf-8")
    return path


def test_a_link_to_a_row_that_is_not_here_says_so(browser: Browser, report: Path) -> None:
    browser.open(report, "#0123456789abcdef0123456789abcdef-3")
    (words,) = browser.texts("#view .missing")
    assert "0123456789abcdef0123456789abcdef-3" in words
    assert "200 of the 480 trajectories" in words
    assert browser.texts(".sides") == []
    assert browser.run("location.hash") == "#0123456789abcdef0123456789abcdef-3"
    browser.press("j")
    browser.wait_for("document.querySelector('#view .sides') !== null")
    assert browser.read_console() == []


def test_every_mark_of_a_group_leads_somewhere(browser: Browser, report: Path) -> None:
    browser.open(report)
    marks = browser.run("[...document.querySelectorAll('.group .mark')].map((m) => m.tagName)")
    assert marks == ["BUTTON"] * 8
    assert browser.run("document.querySelectorAll('.group .mark.away').length") > 0
    browser.click(".group .mark.away")
    browser.wait_for("document.querySelector('#view .missing') !== null")
    browser.open(report)
    browser.run("document.querySelector('.group .mark:not(.away):not([aria-current])').click()")
    browser.wait_for("document.querySelector('.mark[aria-current]') !== null")


def test_a_group_shows_all_masks_on_one_scale(browser: Browser, report: Path) -> None:
    browser.open(report)
    assert len(browser.texts(".glance .member .sign")) == 8
    scales = browser.run(
        "[...document.querySelectorAll('.glance ol svg')].map((bar) => bar.getAttribute('viewBox'))"
    )
    assert len(set(scales)) == 1
    for member in browser.texts(".glance ol .number"):
        masked, total = (int(part) for part in member.split(" of "))
        assert 0 <= masked <= total
    drawn = browser.run(
        "[...document.querySelectorAll('.glance ol .member')].every((row) => {"
        "const sum = [...row.querySelectorAll('.part')].reduce((all, part) =>"
        "all + Number(part.getAttribute('width')), 0);"
        "return sum === Number(row.querySelector('.number').textContent.split(' of ')[0]); })"
    )
    assert drawn, "the bars are as long as the numbers say"


def test_a_group_is_read_side_by_side(browser: Browser, report: Path, shots: Path) -> None:
    browser.open(report)
    here = browser.run("document.querySelectorAll('.group .mark:not(.away)').length")
    browser.press("g")
    browser.wait_for("document.getElementById('sides').open")
    assert len(browser.texts("#sides .column")) == here
    browser.save_screenshot(shots / "side-by-side.png")
    browser.press(ESCAPE)
    browser.wait_for("!document.getElementById('sides').open")


def test_a_scan_can_be_read_at_full_size(browser: Browser, scans: Path, shots: Path) -> None:
    browser.open(scans)
    assert len(browser.texts(".pictures figure")) == 3
    browser.press("z")
    browser.wait_for("document.getElementById('zoom').open")
    browser.wait_for("document.querySelector('#zoom img')?.naturalWidth > 0")
    natural = (
        "[...document.querySelectorAll('#zoom img')].map((i) => [i.naturalWidth, i.naturalHeight])"
    )
    assert browser.run(natural) == [[600, 800]], "no pixel is lost"
    browser.press("2")
    browser.wait_for(f"({natural})[0][0] === 1600")
    assert browser.run(natural) == [[1600, 90]]
    browser.press("0")
    browser.save_screenshot(shots / "zoom-strip.png")
    before = browser.run("document.querySelector('#zoom img').getBoundingClientRect().width")
    browser.press("+")
    after = browser.run("document.querySelector('#zoom img').getBoundingClientRect().width")
    assert after == pytest.approx(1.5 * before, rel=0.01)
    browser.press("1")
    browser.press("c")
    browser.wait_for("document.querySelectorAll('#zoom .pane').length === 2")
    browser.press("3")
    browser.wait_for("document.querySelectorAll('#zoom [aria-label^=again]').length === 1")
    browser.save_screenshot(shots / "zoom-compare.png")
    browser.press("z")
    browser.wait_for("!document.getElementById('zoom').open")
    assert browser.read_console() == []


def test_a_drag_moves_both_pictures(browser: Browser, scans: Path) -> None:
    from selenium.webdriver import ActionChains

    browser.open(scans)
    browser.click(".pictures figure:nth-child(3) .enlarge")
    browser.wait_for("document.querySelector('#zoom img')?.naturalWidth === 600")
    browser.press("c")
    browser.wait_for("document.querySelectorAll('#zoom img').length === 2")
    lefts = "[...document.querySelectorAll('#zoom img')].map((i) => i.getBoundingClientRect().left)"
    before = browser.run(lefts)
    pane = browser.driver.find_element("css selector", "#zoom .pane")
    ActionChains(browser.driver).drag_and_drop_by_offset(pane, 70, 20).perform()
    moved = [round(now - then) for now, then in zip(browser.run(lefts), before, strict=True)]
    assert moved == [70, 70]
