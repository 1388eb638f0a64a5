"""Runs that were written, not played; and a real browser, where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gco_agent.store.entries import RunRef
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from gco_agent.store.view import RunView
from tests.report.samples import REF, make_run

SECOND = RunRef("pong", "second")
_READY_S = 60
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--disable-dev-shm-usage"),
)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a run of 20 iterations checked out, and a second of 12."""
    root = tmp_path_factory.mktemp("written")
    subprocess.run(["git", "init", "--quiet", "-b", "main", str(root)], check=True)
    make_run(root, 20)
    make_run(root, 12, SECOND, seed=4, usd=False)
    subprocess.run(["git", "-C", str(root), "symbolic-ref", "HEAD", str(REF)], check=True)
    return root


@pytest.fixture(scope="session")
def runs(written: Path) -> Runs:
    return Runs(GitRepo.find(written))


@pytest.fixture(scope="session")
def view(runs: Runs) -> RunView:
    return runs.view(REF)


class Browser:
    """Chromium with one page, and what a test asks of it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, width: int = 1600, *, dark: bool = False) -> float:
        """Open a page from its file and wait until it says that it is drawn; seconds it took."""
        screen = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
        self.driver.get(path.as_uri())
        self.wait("return document.documentElement.dataset.ready === 'true'")
        return float(self("return performance.now()")) / 1000

    def __call__(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str) -> Any:
        """Wait until a script returns something true."""
        end = time.monotonic() + _READY_S
        while not (found := self(script)):
            assert time.monotonic() < end, f"never true: {script}; {self.complaints()}"
            time.sleep(0.02)
        return found

    def shown(self, index: int) -> None:
        """Wait until a trial is shown whole."""
        self.wait(f"return document.getElementById('trial').dataset.shown === '{index}'")

    def reveal(self, plot: str) -> None:
        """Scroll to a drawing, which is made then, and wait for it."""
        self(f"document.getElementById('{plot}').scrollIntoView({{block: 'center'}})")
        self.wait(f"return document.querySelectorAll('#{plot} .trace').length > 0")

    def text(self, selector: str) -> str:
        return str(self("return document.querySelector(arguments[0]).textContent", selector))

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
        return [str(text) for text in self(script, selector)]

    def choose(self, name: str, value: str) -> None:
        """Give a control a value, as a person who types or picks it."""
        self(
            "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event('change'))",
            name,
            value,
        )

    def click(self, selector: str) -> None:
        self("document.querySelector(arguments[0]).click()", selector)

    def complaints(self) -> list[str]:
        """What the console says."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    env = {**os.environ, "HOME": str(profile)}
    driver = webdriver.Chrome(options=options, service=service.Service(chromedriver, env=env))
    yield Browser(driver)
    driver.quit()
