"""A real Chromium without a window, and the pages that it opens.

`make report-test` installs what is needed and runs these tests; elsewhere they are deselected by
their marker, and skipped where there is no browser.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dfgen.report.html import write_page, write_report
from dfgen.store.finished import open_finished
from tests.report.hostile import NUMBERS, describe_hostile_run, make_samples
from tests.support.browser import Browser, find_browser, start_browser
from tests.support.sample_run import make_run

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    pytest.importorskip("selenium.webdriver", reason="make report-test installs it")
    binary = find_browser()
    if binary is None:
        message = "there is no chromium here; make report-test installs it"
        # A run that was to test the browser must not pass without one.
        (pytest.fail if os.environ.get("DFGEN_BROWSER") == "required" else pytest.skip)(message)
    with start_browser(binary) as chrome:
        yield chrome


@pytest.fixture
def browser(driver: Chrome) -> Browser:
    browser = Browser(driver)
    browser.resize(1440, 900)
    # A theme that an earlier test chose is remembered, as it should be.
    storage = {"origin": "file://", "storageTypes": "all"}
    driver.execute_cdp_cmd("Storage.clearDataForOrigin", storage)
    return browser


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots go: $DFGEN_SCREENSHOTS, else a folder beside the other temporary files."""
    folder = os.environ.get("DFGEN_SCREENSHOTS")
    path = Path(folder) if folder else Path(tempfile.gettempdir()) / "dfgen-report-screenshots"
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 trajectories of a run of 60 prompts with 8 answers each."""
    folder = tmp_path_factory.mktemp("browser")
    root = make_run(folder / "run", prompts=60, samples=8, seed=3)
    write_report(open_finished(root), folder / "report.html", 200)
    return folder / "report.html"


@pytest.fixture(scope="session")
def served_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 questions with 4 answers each, in three shards, for `dfgen view`."""
    return make_run(tmp_path_factory.mktemp("served") / "run", prompts=120, samples=4, seed=5)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "report \"quoted\" 'and' <odd>.html"
    path.write_text(write_page(make_samples(), NUMBERS, describe_hostile_run()), "utf-8")
    return path
