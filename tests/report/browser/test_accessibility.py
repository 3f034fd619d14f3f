"""What axe-core finds of barriers; `make report-test` fetches it from npm."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.browser import Browser

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[3] / "build" / "axe" / "package" / "axe.min.js"
RUN_AXE = (
    "const done = arguments[arguments.length - 1];"
    "axe.run(document).then((found) => done(found.violations"
    ".filter((each) => ['serious', 'critical'].includes(each.impact))"
    ".map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html).join(' ')}`)));"
)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("state", ["", "overview", "g", "z", "?", "missing"])
def test_there_are_no_serious_barriers(
    browser: Browser, report: Path, state: str, *, dark: bool
) -> None:
    if not AXE.exists():
        message = "axe-core is not here; make report-test fetches it"
        (pytest.fail if os.environ.get("DFGEN_BROWSER") == "required" else pytest.skip)(message)
    browser.resize(1440, 900, dark=dark)
    browser.open(report, f"#{state}" if state in ("overview", "missing") else "")
    if len(state) == 1:
        browser.press(state)
        browser.wait_for("document.querySelector('dialog[open]') !== null")
    # The page's policy refuses scripts of others, so it comes in by the driver.
    browser.driver.execute_script(AXE.read_text("utf-8"))
    assert browser.driver.execute_async_script(RUN_AXE) == []
