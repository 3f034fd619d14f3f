"""What axe-core finds of barriers; `make report-test` fetches it from npm."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.browser import Browser

AXE = Path(__file__).parents[3] / "build" / "axe" / "package" / "axe.min.js"
RUN_AXE = (
    "const done = arguments[arguments.length - 1];"
    "axe.run(document).then((found) => done(found.violations"
    ".filter((each) => ['serious', 'critical'].includes(each.impact))"
    ".map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html).join(' ')}`)));"
)


def find_barriers(browser: Browser) -> list[str]:
    """Serious and critical findings about what is shown now."""
    if not AXE.exists():
        message = "axe-core is not here; make report-test fetches it"
        (pytest.fail if os.environ.get("DFGEN_BROWSER") == "required" else pytest.skip)(message)
    browser.driver.set_script_timeout(120)
    # The page's policy refuses scripts of others, so it comes in by the driver.
    if browser.run("typeof axe === 'undefined'"):
        browser.driver.execute_script(AXE.read_text("utf-8"))
    return list(browser.driver.execute_async_script(RUN_AXE))
