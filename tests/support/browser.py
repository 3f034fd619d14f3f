"""A real Chromium without a window, for tests and benchmarks of the page.

`make report-test` installs what is needed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars"),
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Browser:
    """What a person does with a page: open it, press keys, look."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def resize(self, width: int, height: int, *, dark: bool = False, scale: int = 1) -> None:
        """Set the window's size and the system's colours."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600},
        )
        colours = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [colours]})

    def open(self, path: Path, address: str = "") -> None:
        """Open a page from disk and wait until it says that it is ready."""
        self.driver.get("about:blank")
        self.read_console()
        self.driver.get(f"{path.as_uri()}{address}")
        self.wait_for("document.documentElement.dataset.ready === 'true'")

    def visit(self, address: str) -> None:
        """Open an address of `dfgen view` and wait until all rows are there."""
        self.driver.get("about:blank")
        self.read_console()
        self.driver.get(address)
        self.wait_for("document.documentElement.dataset.loaded === 'true'")
        self.wait_for("document.documentElement.dataset.ready === 'true'")

    def measure_processor_s(self) -> float:
        """Processor time so far of the browser and all of its processes."""
        ticks, waiting = 0, [self.driver.service.process.pid]
        while waiting:
            folder = Path(f"/proc/{waiting.pop()}")
            # Helpers come and go.
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = (folder / "stat").read_text("utf-8").rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
                for task in (folder / "task").iterdir():
                    waiting += map(int, (task / "children").read_text("utf-8").split())
        return ticks / os.sysconf("SC_CLK_TCK")

    def run(self, script: str, *arguments: object) -> Any:
        """Value of a JavaScript expression."""
        return self.driver.execute_script(f"return ({script})", *arguments)

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        try:
            wait_until(lambda: self.run(condition))
        except AssertionError as error:
            error.add_note(f"{condition}\n{self.read_console()}")
            raise

    def press(self, keys: str) -> None:
        """Type keys at whatever has the focus."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(keys).perform()

    def click(self, selector: str) -> None:
        """Click the first element of a selector."""
        self.driver.find_element("css selector", selector).click()

    def texts(self, selector: str) -> list[str]:
        """Text of every element of a selector, shown or not."""
        found = self.run(
            "[...document.querySelectorAll(arguments[0])].map((node) => node.textContent)", selector
        )
        return list(found)

    def read_console(self) -> list[str]:
        """Messages of the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def save_screenshot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        assert self.driver.save_screenshot(str(path))


def find_browser() -> str | None:
    """Path of the browser; None where there is none, or no driver for it."""
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    return binary if shutil.which("chromedriver") else None


@contextmanager
def start_browser(binary: str) -> Iterator[Chrome]:
    """Start a browser with a profile of its own; needs selenium."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(prefix="dfgen-chromium-") as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        chrome = Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            yield chrome
        finally:
            chrome.quit()
