"""What was asked and returned, what each edit was worth, and what it all cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dfgen.report.html import write_page
from dfgen.report.samples import Sample
from tests.report.hostile import ATTACKS, NUMBERS, describe_hostile_run, make_sample
from tests.view.serving import serve

if TYPE_CHECKING:
    from typing import Any

    from tests.support.browser import Browser

pytestmark = pytest.mark.browser

ATTACK = ATTACKS[1]
VALUES = {"before": 0.75, "wrong": 0.125, "repaired": 0.5, "drop": 0.625, "gain": 0.375}


class Sent:
    """Requests as `dfgen.report.sent` describes them, with a hostile text in each."""

    def describe(self, sample: Sample) -> dict[str, Any]:
        def write(text: str) -> list[dict[str, Any]]:
            return [{"role": "system", "parts": [text]}, {"role": "user", "parts": [1, ATTACK]}]

        tests = [write("test")]
        return {
            "policy": write("policy"),
            "requests": [write("repair")],
            "tests": tests,
            "why": None,
        }


def make_valued_sample() -> Sample:
    """An edit that was tested and whose values were drawn."""
    sample = make_sample("plain", 0)
    (hunk,) = json.loads(sample.mask["hunks"])
    value = {"start": 3, "end": 4, **{f"value_{name}": value for name, value in VALUES.items()}}
    sample.mask["hunk_values"] = [value]  # type: ignore[index]
    sample.mask["value_start"] = 0.25  # type: ignore[index]
    attempt = {**sample.attempts[0], "accepted": False, "reason": "unneeded", "text": ATTACK}
    start, end = hunk["wrong_bytes"]
    sample.repair["necessity"] = [  # type: ignore[index]
        {"start": start, "end": end, "needed": False, "weight": 0.5, "decided_by": "model",
         "attempt": attempt}
    ]  # fmt: skip
    return sample


@pytest.fixture(scope="module")
def valued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("valued") / "valued.html"
    run = {**describe_hostile_run(), "name": "valued", "shown": 1, "total": 1}
    path.write_text(write_page([make_valued_sample()], NUMBERS, run, Sent()), "utf-8")  # type: ignore[arg-type]
    return path


def open_all(browser: Browser, selector: str) -> list[str]:
    browser.run(
        "document.querySelectorAll(arguments[0]).forEach((each) => { each.open = true; })", selector
    )
    browser.wait_for(
        f"[...document.querySelectorAll({selector!r})].every((each) => each.children.length > 1)"
    )
    return browser.texts(f"{selector} .chat")


def test_a_file_shows_what_was_asked_of_both(browser: Browser, report: Path, shots: Path) -> None:
    browser.open(report)
    question = browser.texts("#view h1")[0]
    (policy,) = open_all(browser, ".sent details")
    assert question in policy
    assert "picture 1" in policy
    asked = open_all(browser, ".attempts li details:nth-of-type(1)")
    assert len(asked) == len(browser.texts(".attempts li")) >= 1
    assert question in asked[0]
    assert "smallest possible edit" in asked[0]
    completion = "".join(browser.texts(".sides .row:not(.heads) .wrong .text"))
    assert completion[:30] in asked[0]
    browser.run("document.querySelector('.sent').scrollIntoView()")
    browser.save_screenshot(shots / "requests.png")
    assert browser.read_console() == []


def test_a_served_row_has_them_too(
    browser: Browser, report: Path, served_root: Path, tmp_path: Path
) -> None:
    with serve(tmp_path / "marks.jsonl", served_root) as address:
        browser.visit(address)
        (policy,) = open_all(browser, ".sent details")
        assert browser.texts("#view h1")[0] in policy


def test_values_and_necessity_stand_with_each_edit(
    browser: Browser, valued: Path, shots: Path
) -> None:
    browser.open(valued)
    heads = browser.texts(".hunks th")
    cells = dict(zip(heads, browser.texts(".hunks tbody td"), strict=True))
    assert cells["Needed"] == "no (repairer, weight 0.5)"
    assert [cells[name] for name in heads[-5:]] != []
    shown = {name: cells[name] for name in ("Success before", "after it", "repaired")}
    assert shown == {"Success before": "75 %", "after it": "13 %", "repaired": "50 %"}
    assert (cells["Lost"], cells["Won back"]) == ("63 %", "38 %")
    assert "25 % of the policy’s answers" in browser.texts(".checks")[0]
    (test,) = browser.texts(".tests li")
    assert test.startswith("Edit 1 taken back: unneeded")
    browser.save_screenshot(shots / "values.png")


def test_hostile_requests_are_only_texts(browser: Browser, valued: Path) -> None:
    browser.open(valued)
    browser.run("document.querySelectorAll('#view details').forEach((d) => { d.open = true; })")
    browser.wait_for("document.querySelectorAll('.chat').length === 3")
    assert all(ATTACK in text for text in browser.texts(".chat"))
    assert browser.run("window.hit") is None
    assert browser.run("document.querySelectorAll('.chat img, .chat script').length") == 0
    assert browser.read_console() == []


def test_costs_are_shown_in_the_course_of_the_run(browser: Browser, report: Path) -> None:
    browser.open(report, "#overview")
    titles = browser.texts(".chart figcaption b")
    chart = titles.index("Cost in the course of the run")
    said = browser.texts(".chart figcaption span")[chart]
    assert "requests carry no times" in said
    bars = f"document.querySelectorAll('.chart')[{chart}].querySelectorAll('.bar').length"
    assert browser.run(bars) == 2
