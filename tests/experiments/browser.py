"""A real browser for tests of pages: Chromium, headless, with what a test needs to look and to press."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
)


def process_tree(root: int) -> list[int]:
    """A process and everything it started, by their numbers."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
    tree = [root]
    for pid in tree:
        tree += [child for child, parent in parents.items() if parent == pid]
    return tree


def ends(pid: int, timeout_s: float = 20.0) -> bool:
    """Whether a process is gone, or goes within the time; its descriptor becomes readable when it ends."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], timeout_s)[0])
    finally:
        os.close(descriptor)


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (redbutton[dev])")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("chromium and chromedriver are not installed")
    profile = tmp_path_factory.mktemp("profile")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=chromedriver)
    browser = webdriver.Chrome(options=options, service=service)
    try:
        yield browser
    finally:
        processes = process_tree(service.process.pid)
        browser.quit()
    assert len(processes) > 2
    assert [pid for pid in processes if not ends(pid)] == []


@contextlib.contextmanager
def watched(driver: Any, report: str) -> Iterator[None]:
    """The browser at ``report``, 1280 px wide and light; afterwards it must have nothing to complain about."""
    size(driver, 1280)
    scheme(driver, "light")
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get_log("performance")
    driver.get(report)
    yield
    assert driver.get_log("browser") == []
    assert driver.execute_script("return window.hacked === undefined")
    requests = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [r["params"]["request"]["url"] for r in requests if r["method"] == "Network.requestWillBeSent"]
    assert urls
    assert not [url for url in urls if url.split("#")[0] != report and not url.startswith(("data:", "about:"))]


def size(driver, width: int, height: int = 900) -> None:
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )


def scheme(driver, name: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": name}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen", "features": features})


def all_of(driver, selector: str) -> list[Any]:
    return driver.find_elements("css selector", selector)


def one(driver, selector: str) -> Any:
    return driver.find_element("css selector", selector)


def wait(driver, condition: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 20).until(lambda d: d.execute_script(f"return {condition}"))


def overflow(driver) -> int:
    return driver.execute_script("const d = document.documentElement; return d.scrollWidth - d.clientWidth")


def contrast(one_rgb: list[int], other_rgb: list[int]) -> float:
    """Contrast ratio as WCAG 2 defines it."""

    def luminance(rgb: list[int]) -> float:
        parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((luminance(one_rgb), luminance(other_rgb)))
    return (high + 0.05) / (low + 0.05)
