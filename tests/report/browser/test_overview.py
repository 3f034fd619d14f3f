"""The figures of the whole run, as the page shows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfgen.report.curves import read_curves
from dfgen.report.html import write_page
from tests.report.hostile import NUMBERS, describe_hostile_run, make_samples

if TYPE_CHECKING:
    from tests.support.browser import Browser

pytestmark = pytest.mark.browser

SAID = "document.querySelector('.chart.blame figcaption').textContent"


def measure(estimate: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"estimate": estimate, "low": low, "high": high}


BLAME = {
    "trajectories": 400,
    "continuations": 92_000,
    "continuations_per_trajectory": 230.0,
    "value_start": 0.4,
    "repair_gain": measure(0.61, 0.55, 0.66),
    "gains_above_0_share": 0.9,
    "dfgen": {
        "capture": measure(0.81, 0.7, 0.93),
        "density": 0.115,
        "lift": measure(7.1, 6.0, 8.2),
    },
    "lowest_logprob": {
        "capture": measure(0.65, 0.5, 0.81),
        "density": 0.115,
        "lift": measure(5.7, 4.4, 7.0),
        "own_minus_this": measure(0.16, 0.02, 0.3),
    },
    "random": {
        "capture": measure(-0.07, -0.2, 0.06),
        "density": 0.115,
        "lift": measure(-0.6),
        "own_minus_this": measure(0.88, 0.7, 1.06),
    },
    "given_<b>mine": {
        "capture": measure(0.5, 0.4, 0.6),
        "density": 0.2,
        "lift": {"estimate": None, "low": None, "high": None},
        "own_minus_this": measure(-0.1, -0.2, 0.0),
    },
}


def test_blame_stands_beside_that_of_the_controls(
    browser: Browser, tmp_path: Path, shots: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(
        write_page(make_samples(), NUMBERS | {"blame": BLAME}, describe_hostile_run()), "utf-8"
    )
    browser.open(path, "#overview")
    browser.wait_for("document.querySelector('.chart.blame') !== null")
    cells = browser.run(
        "[...document.querySelectorAll('.chart.blame tbody tr')]"
        ".map((row) => [...row.children].map((cell) => cell.textContent))"
    )
    assert cells == [
        ["dfgen’s mask", "81 % [70 %, 93 %]", "11.5 %", "7.1 [6.0, 8.2]", ""],
        [
            "lowest log-prob, as many tokens",
            "65 % [50 %, 81 %]",
            "11.5 %",
            "5.7 [4.4, 7.0]",
            "+16 [+2, +30]",
        ],
        [
            "random, as many tokens",
            "−7 % [−20 %, 6 %]",
            "11.5 %",
            "−0.6",
            "+88 [+70, +106]",
        ],
        [
            "<b>mine (given)",
            "50 % [40 %, 60 %]",
            "20.0 %",
            "–",
            "−10 [−20, 0]",
        ],
    ]
    said = browser.run(SAID)
    assert "92,000 continuations of the prefixes of 400 wrong answers, 230 each" in said
    assert "+61 [+55, +66] points more of them end right" in said
    assert browser.read_console() == []
    browser.save_screenshot(shots / "blame.png")
    browser.resize(390, 844)
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_run_without_continuations_has_no_such_table(browser: Browser, report: Path) -> None:
    browser.open(report, "#overview")
    browser.wait_for("document.querySelector('.tiles') !== null")
    assert browser.texts(".chart.blame") == []


def test_learning_curves_of_a_study_stand_below_the_plots(
    browser: Browser, tmp_path: Path, shots: Path
) -> None:
    path = tmp_path / "curves.parquet"
    rows = [
        {
            "chart": "chains <b>10 %</b>",
            "curve": arm,
            "step": step,
            "value": 0.1 + rise * step + 0.02 * seed,
        }
        for arm, rise in (("grpo", 0.001), ("df+new", 0.01), ("</script><i>", 0.02))
        for step in range(15)
        for seed in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    page = tmp_path / "report.html"
    numbers = NUMBERS | {"curves": read_curves(path)}
    page.write_text(write_page(make_samples(), numbers, describe_hostile_run()), "utf-8")
    browser.open(page, "#overview")
    browser.wait_for("document.querySelector('.learning .chart') !== null")
    assert browser.texts(".learning .chart figcaption b") == ["chains <b>10 %</b>"]
    assert browser.texts(".learning .keys li") == ["grpo", "df+new", "</script><i>"]
    assert browser.run(
        "[...document.querySelectorAll('.learning polyline')]"
        ".map((line) => line.points.numberOfItems)"
    ) == [15, 15, 15]
    rises = browser.run(
        "[...document.querySelectorAll('.learning polyline')].map((line) =>"
        " line.points.getItem(0).y - line.points.getItem(14).y)"
    )
    assert 0 < rises[0] < rises[1] < rises[2]
    assert (
        browser.run(
            "[...document.querySelectorAll('.learning tbody tr')].map((row) => row.textContent)"
        )[1]
        == "df+new140.260.24 to 0.283"
    )
    assert browser.read_console() == []
    browser.run("document.querySelector('.learning').scrollIntoView()")
    browser.save_screenshot(shots / "curves.png")
