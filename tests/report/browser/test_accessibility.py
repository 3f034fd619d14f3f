"""People who do not see the page, use no mouse, or have a phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.report.browser.barriers import find_barriers

if TYPE_CHECKING:
    from tests.support.browser import Browser

pytestmark = pytest.mark.browser

LOOKS = {"light": (1440, 900, False), "dark": (1440, 900, True), "phone": (390, 844, True)}
TAB, ESCAPE = "\ue004", "\ue00c"
FOCUS = "(document.activeElement.id || document.activeElement.className)"


def show_states(browser: Browser, report: Path) -> None:
    """Every state of the page, one after the other, each without serious barriers."""
    browser.open(report)
    states = {
        "list and details": lambda: None,
        "requests": lambda: browser.run(
            "document.querySelectorAll('#view details').forEach((each) => { each.open = true; })"
        ),
        "filters": lambda: browser.run("document.getElementById('more-finding').open = true"),
        "correcting": lambda: browser.press("e"),
        "judged": lambda: browser.press("e2"),
        "only the mask": lambda: browser.press("m"),
        "probabilities": lambda: browser.press("mp"),
        "folded": lambda: browser.press("h"),
    }
    found = {}
    for name, go in states.items():
        go()
        found[name] = find_barriers(browser)
    for name, key, dialog in (
        ("group", "g", "sides"),
        ("zoom", "z", "zoom"),
        ("help", "?", "help"),
    ):
        browser.press(key)
        browser.wait_for(f"document.getElementById({dialog!r}).open")
        found[name] = find_barriers(browser)
        browser.press(ESCAPE)
        browser.wait_for(f"!document.getElementById({dialog!r}).open")
    browser.press("o")
    browser.wait_for("!document.getElementById('overview').hidden")
    found["overview"] = find_barriers(browser)
    browser.open(report, "#missing")
    found["missing"] = find_barriers(browser)
    assert {name: barriers for name, barriers in found.items() if barriers} == {}


@pytest.mark.parametrize("look", LOOKS)
def test_there_are_no_serious_barriers(browser: Browser, report: Path, look: str) -> None:
    width, height, dark = LOOKS[look]
    browser.resize(width, height, dark=dark)
    show_states(browser, report)


def test_everything_is_reached_by_tab_and_seen_when_it_is(browser: Browser, report: Path) -> None:
    browser.open(report)
    visited, unseen = [], []
    for _ in range(60):
        browser.press(TAB)
        visited.append(browser.run(FOCUS))
        shows = browser.run(
            "(() => { const look = getComputedStyle(document.activeElement);"
            "return look.outlineStyle !== 'none' || look.boxShadow !== 'none'; })()"
        )
        if not shows:
            unseen.append(visited[-1])
    for name in ("skip", "to-trajectories", "to-overview", "fold", "theme", "open-help", "search"):
        assert name in visited
    assert any("chip" in name for name in visited)
    assert "item" in visited
    assert unseen == []


def test_the_skip_link_leads_past_the_list(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.press(TAB)
    assert browser.run(FOCUS) == "skip"
    browser.press("\ue007")
    browser.wait_for(f"{FOCUS} === 'view'")
    shown = browser.run("document.querySelector('#view h1').textContent")
    browser.press(TAB)
    assert browser.run("document.activeElement.closest('#view') !== null")
    assert browser.run("document.querySelector('#view h1').textContent") == shown


def test_what_explains_the_page_folds_away_and_stays_so(browser: Browser, report: Path) -> None:
    seen = "['lead', 'hint'].map((name) => document.querySelector(`.${name}`).offsetHeight > 0)"
    browser.open(report)
    assert browser.run(seen) == [True, True]
    browser.press("h")
    assert browser.run(seen) == [False, False]
    assert browser.run("document.getElementById('fold').ariaExpanded") == "false"
    browser.open(report)
    assert browser.run(seen) == [False, False], "it is remembered"
    browser.click("#fold")
    assert browser.run(seen) == [True, True]
    browser.open(report)
    assert browser.run(seen) == [True, True]


def test_every_key_of_the_help_does_something(browser: Browser, report: Path) -> None:
    """The list of keys is the list of what is bound: each of them changes the page."""
    browser.open(report)
    keys = browser.texts("#help .keymap kbd")
    assert len(keys) == len(set(keys)) > 15
    state = (
        "[document.body.className, document.documentElement.dataset.theme, location.hash,"
        "document.activeElement.className + document.activeElement.id + "
        "document.activeElement.tagName, document.querySelector('dialog[open]')?.id,"
        "document.querySelector('.judging').textContent,"
        "[...document.querySelectorAll('.judging button')].map((b) => b.ariaPressed).join()"
        "].join('|')"
    )
    for key in keys:
        browser.open(report, "" if key != "k" else "#overview")
        if key == "k":
            browser.press("ojj")
        before = browser.run(state)
        browser.press(key)
        browser.wait_for(f"{state} !== {before!r}")
