"""Headless Chromium through its own WebDriver, which comes with the Debian package chromium-driver."""

import base64
import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import free_port

ENTER, TAB, CONTROL = "\ue007", "\ue004", "\ue009"
SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Browser:
    """One window."""

    def __init__(self, address: str, session: str) -> None:
        self._client = httpx.Client(base_url=f"{address}/session/{session}", timeout=60)

    def do(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a WebDriver command."""
        answer = self._client.get(path) if body is None else self._client.post(path, json=body)
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value

    def open(self, address: str) -> None:
        self.do("/url", {"url": address})

    def run(self, script: str, *arguments: object) -> Any:
        """Run JavaScript in the page and return its result."""
        return self.do("/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).innerText", selector))

    def keys(self, *keys: str) -> None:
        """Press keys where the focus is; a key after CONTROL is pressed together with it."""
        actions: list[dict[str, str]] = []
        pressed = ""
        for key in keys:
            actions.append({"type": "keyDown", "value": key})
            if key == CONTROL:
                pressed = key
                continue
            actions.append({"type": "keyUp", "value": key})
            if pressed:
                actions.append({"type": "keyUp", "value": pressed})
                pressed = ""
        self.do("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def wait_for(self, script: str, seconds: float = 15) -> None:
        """Wait until JavaScript returns something true."""
        end = time.monotonic() + seconds
        while not self.run(f"return {script}"):
            assert time.monotonic() < end, f"{script} is not true: {self.text('body')}"
            time.sleep(0.05)

    def resize(self, width: int, height: int) -> None:
        """Show the page as a device of this size does."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.do("/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})

    def picture(self, path: Path) -> None:
        """Save what is shown."""
        path.write_bytes(base64.b64decode(self.do("/screenshot")))


@contextlib.contextmanager
def chromium(language: str = "en-US") -> Iterator[Browser]:
    """Run a browser while the block runs; skip the test if Chromium is not installed."""
    driver, browser = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or browser is None:
        pytest.skip("chromium and chromium-driver are not installed")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_until_up(address)
            options = {"binary": browser, "args": [*SWITCHES, f"--user-data-dir={profile}", f"--lang={language}"]}
            options["prefs"] = {"intl.accept_languages": language}  # type: ignore[assignment]
            wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
            session = httpx.post(f"{address}/session", json=wanted, timeout=60).json()["value"]["sessionId"]
            yield Browser(address, session)
            httpx.delete(f"{address}/session/{session}", timeout=60)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_up(address: str) -> None:
    end = time.monotonic() + 30
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/status").json()["value"]["ready"]:
                return
        assert time.monotonic() < end, "chromedriver does not answer"
        time.sleep(0.1)
