"""Sorting and filtering, the state in the address, and plots as filters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.browser import Browser

pytestmark = pytest.mark.browser

COUNT = "Number(document.getElementById('count').textContent.replace(/ .*/, '').replace(',', ''))"
SET = (
    "(() => { const field = document.getElementById(arguments[0]); field.value = arguments[1];"
    "field.dispatchEvent(new Event('change')); })()"
)


def test_measures_narrow_the_list_and_stand_in_the_address(
    browser: Browser, report: Path, shots: Path
) -> None:
    browser.open(report)
    browser.click("#more-finding summary")
    browser.run(SET, "pass-high", "50")
    browser.wait_for(f"{COUNT} < 200")
    count = browser.run(COUNT)
    assert "pass=..0.5" in browser.run("location.hash")
    browser.run(SET, "sort", "-tokens")
    browser.wait_for("location.hash.includes('sort=-tokens')")
    browser.save_screenshot(shots / "finding.png")
    address = browser.run("location.hash")
    order = browser.run("[...document.querySelectorAll('.item')].map((item) => item.dataset.id)")
    browser.open(report, address)
    assert browser.run(COUNT) == count
    assert browser.run("[...document.querySelectorAll('.item')].map((i) => i.dataset.id)") == order
    browser.click("#clear")
    browser.wait_for("document.getElementById('count').textContent.includes('200 of 480')")
    assert "&" not in browser.run("location.hash")


def test_rows_are_sorted_by_what_was_asked(browser: Browser, report: Path) -> None:
    browser.open(report, "#overview&sort=-tokens")
    browser.press("o")
    lengths = []
    browser.wait_for("document.querySelector('.item') !== null")
    for place in (0, 30, 60, 90):
        browser.run(f"document.querySelectorAll('.item')[{place}].click()")
        browser.wait_for(
            f"document.querySelectorAll('.item')[{place}].getAttribute('aria-current') === 'true'"
        )
        words = browser.texts(".ribbon p")[0]
        lengths.append(int(words.split(" of ")[1].split()[0]))
    assert lengths == sorted(lengths, reverse=True)


def test_a_bar_of_a_plot_shows_its_rows(browser: Browser, report: Path) -> None:
    browser.open(report, "#overview")
    bars = "document.querySelectorAll('#overview .bar[role=button]')"
    assert browser.run(f"{bars}.length") > 10
    browser.run(
        "[...document.querySelectorAll('#overview .bar.outcome[role=button]')][0]"
        ".dispatchEvent(new MouseEvent('click', { bubbles: true }))"
    )
    browser.wait_for("!document.getElementById('trajectories').hidden")
    browser.wait_for(f"{COUNT} === 28")
    assert browser.run("location.hash.includes('source=outcome')")


def test_every_bar_leads_to_rows_that_fit(browser: Browser, report: Path) -> None:
    browser.open(report, "#overview")
    size = browser.run("document.querySelectorAll('#overview .bar[role=button]').length")
    found = 0
    for place in range(0, size, 3):
        browser.open(report, "#overview")
        browser.run(f"document.querySelectorAll('#overview .bar[role=button]')[{place}].focus()")
        browser.press(" ")
        browser.wait_for("!document.getElementById('trajectories').hidden")
        assert browser.run("location.hash.includes('&') || location.hash.includes('=')")
        found += browser.run("document.querySelectorAll('.item').length") > 0
    assert found > size / 3 * 0.6


def test_every_choice_shows_as_many_rows_as_it_says(browser: Browser, report: Path) -> None:
    """Reason, kind, step, grader, repairer, marks, metadata, ...: all that the page offers."""
    browser.open(report)
    offered = browser.run(
        "[...document.querySelectorAll('.find select')].filter((each) => each.id !== 'sort')"
        ".flatMap((select) => [...select.options].slice(1, 4).map((option) =>"
        "[select.id, option.value, option.textContent]))"
    )
    assert {name for name, *_ in offered} >= {"reason", "kind", "role", "grader", "repairer"}
    for name, value, words in offered:
        browser.run(SET, name, value)
        count = int(words.rpartition("(")[2].rstrip(")").replace(",", ""))
        browser.wait_for(f"{COUNT} === {count}")
        assert f"{name}=" in browser.run("location.hash")
        browser.run(SET, name, "")
        browser.wait_for(f"{COUNT} === 200")


def test_every_measure_narrows_from_below_and_above(browser: Browser, report: Path) -> None:
    browser.open(report)
    names = browser.run(
        "[...document.querySelectorAll('#measures input[id$=-low]')]"
        ".filter((each) => !each.parentNode.hidden).map((each) => each.id.replace('-low', ''))"
    )
    assert {"pass", "ratio", "share", "tokens", "round", "cost"} <= set(names)
    for name in names:
        browser.run(SET, f"{name}-low", "999999")
        browser.wait_for("document.querySelector('#list .none') !== null")
        browser.run(SET, f"{name}-low", "0")
        browser.wait_for(f"{COUNT} > 0")
        browser.click("#clear")
        browser.wait_for(f"{COUNT} === 200")
