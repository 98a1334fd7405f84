"""A JupyterLab and a Chromium for tests: open a notebook as a reader does, click, look.

Used in three steps: `jupyter_lab` serves a folder, `chromium` is a browser with a microphone of
your choice, and `Notebook` is one open page. Each cleans up after itself, whatever happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
GREY = ":is([disabled], [aria-disabled=true])"
SETTINGS = {
    # No question about news, no look for updates.
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # Whatever a widget would leave in a saved notebook is to show.
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
    "@jupyterlab/apputils-extension/themes": {"theme": "JupyterLab Light", "adaptive-theme": False},
}


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab."""

    port: int
    token: str

    def address(self, notebook: str, *, host: str = "localhost") -> str:
        """Return where a notebook is shown alone, without side bars."""
        return f"http://{host}:{self.port}/doc/tree/{notebook}?token={self.token}"


@contextlib.contextmanager
def jupyter_lab(folder: Path, *, scratch: Path, seconds: float = 60) -> Iterator[Lab]:
    """Serve a folder from a free port, with none of the user's settings, until the block ends."""
    lab = Lab(_free_port(), secrets.token_hex(16))
    for name, content in SETTINGS.items():
        path = scratch / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    own = {f"JUPYTER_{name}_DIR": str(scratch / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    with (scratch / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            _lab_command(lab, folder, scratch),
            env={**os.environ, **own, "IPYTHONDIR": str(scratch / "ipython")},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(lab, process, log=scratch / "lab.log", seconds=seconds)
        yield lab
    finally:
        process.terminate()  # it ends its kernels first
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _lab_command(lab: Lab, folder: Path, scratch: Path) -> list[str]:
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": lab.port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.allow_remote_access": True,  # for names that the browser maps to this machine
        "ServerApp.root_dir": folder,
        "IdentityProvider.token": lab.token,
        "LabApp.user_settings_dir": scratch / "settings",
        "LabApp.workspaces_dir": scratch / "workspaces",
        "LabApp.expose_app_in_browser": True,  # as window.jupyterapp
    }
    return [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in options.items())]


def _wait_for(lab: Lab, process: subprocess.Popen[bytes], *, log: Path, seconds: float) -> None:
    address = f"http://127.0.0.1:{lab.port}/api/status?token={lab.token}"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            urllib.request.urlopen(address),
        ):
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab does not answer:\n{log.read_text()[-2000:]}")


def programs() -> tuple[str, str]:
    """Return Chromium and its driver, or skip the test that asks."""
    pytest.importorskip("selenium", reason="selenium is not installed: pip install '.[dev]'")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("Chromium is not here: on Debian, apt install chromium chromium-driver")
    return browser, driver


@contextlib.contextmanager
def chromium(
    *, microphone: Path | None = None, flags: tuple[str, ...] = (), size: str = "900,900"
) -> Iterator[Any]:
    """Open a Chromium without a window until the block ends.

    Parameters
    ----------
    microphone : Path, optional
        WAV file of 16 bits that it hears, over and over; None leaves the machine's microphones.
    flags : tuple of str
        More options of Chromium.
    size : str
        Width and height of the window [pixels].

    Yields
    ------
    selenium.webdriver.Chrome
    """
    browser, driver = programs()
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    flags = ("--headless=new", f"--window-size={size}", "--disable-dev-shm-usage", *flags)
    if microphone is not None:
        flags += (
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone.resolve()}",
        )
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags += ("--no-sandbox",)  # Chromium refuses its sandbox to root
    for flag in flags:
        options.add_argument(flag)
    window = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        window.set_script_timeout(120)
        if microphone is not None:
            permit_microphone(window, "granted")
        yield window
    finally:
        window.quit()


def permit_microphone(window: Any, answer: str) -> None:
    """Answer every page that asks for the microphone with 'granted' or 'denied'."""
    window.execute_cdp_cmd(
        "Browser.setPermission", {"permission": {"name": "microphone"}, "setting": answer}
    )


class Notebook:
    """A notebook that is open in a browser, with its kernel running."""

    def __init__(self, window: Any, address: str, *, seconds: float = 60) -> None:
        self.window = window
        window.get(address)
        self.wait("return Boolean(window.jupyterapp?.shell?.currentWidget?.context)", seconds)
        self._call(
            "const {context, sessionContext} = app.shell.currentWidget;"
            "await context.ready; await sessionContext.ready;"
            "await sessionContext.session.kernel.info"
        )

    def _call(self, body: str, *values: Any) -> Any:
        """Run asynchronous JavaScript; `app` is JupyterLab, `values` what was given."""
        answer = self.window.execute_async_script(
            "const values = [...arguments], done = values.pop(), app = window.jupyterapp;"
            f"(async () => {{ {body} }})()"
            ".then(value => done([value, null]), error => done([null, String(error)]))",
            *values,
        )
        value, error = answer
        assert error is None, error
        return value

    def command(self, name: str) -> None:
        """Run a command of JupyterLab, such as docmanager:save or notebook:clear-cell-output."""
        self._call("await app.commands.execute(values[0])", name)

    def run_all(self) -> None:
        """Run every cell, and wait for the last."""
        self.command("notebook:run-all-cells")

    def run(self, cell: int) -> str:
        """Run one cell, the first is 0, and return what it printed or raised."""
        self._call(
            "app.shell.currentWidget.content.activeCellIndex = values[0];"
            "await app.commands.execute('notebook:run-cell')",
            cell,
        )
        return self.printed(cell)

    def printed(self, cell: int) -> str:
        """Return the text that a cell shows."""
        texts = [
            each.get("text") or each.get("evalue") or each.get("data", {}).get("text/plain", "")
            for each in self._outputs(cell)
        ]
        return "".join(part if isinstance(part, str) else "".join(part) for part in texts)

    def failure(self, cell: int) -> str:
        """Return the error that a cell shows, or nothing."""
        outputs = self._outputs(cell)
        errors = [each for each in outputs if each["output_type"] == "error"]
        return "; ".join(f"{each['ename']}: {each['evalue']}" for each in errors)

    def show(self, cell: int) -> None:
        """Scroll so that a cell stands at the top; cells far away may not be drawn at all."""
        self._call("await app.shell.currentWidget.content.scrollToItem(values[0], 'start')", cell)

    def _outputs(self, cell: int) -> list[dict[str, Any]]:
        outputs: list[dict[str, Any]] = self._call(
            "return app.shell.currentWidget.content.widgets[values[0]].model.toJSON().outputs", cell
        )
        return outputs

    def theme(self, name: str) -> None:
        """Change the theme to 'JupyterLab Light' or 'JupyterLab Dark'."""
        self._call("await app.commands.execute('apputils:change-theme', {theme: values[0]})", name)
        self.wait("return !document.querySelector('#jupyterlab-splash')", 20)

    def element(self, selector: str, *, seconds: float = 20) -> Any:
        """Return what a CSS selector finds, once it is there."""
        self.wait(f"return Boolean(document.querySelector({json.dumps(selector)}))", seconds)
        return self.window.find_element("css selector", selector)

    def click(self, selector: str) -> None:
        """Click it, scrolled into view, once it is not greyed out."""
        element = self.element(selector)
        self.window.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        self.wait(f"return !document.querySelector({json.dumps(selector + GREY)})", 20)
        element.click()

    def wait_for_text(self, selector: str, pattern: str, *, seconds: float = 20) -> str:
        """Return the text of an element once it matches a regular expression."""
        deadline = time.monotonic() + seconds
        element, text = self.element(selector), ""
        while time.monotonic() < deadline:
            text = element.text
            if re.search(pattern, text):
                return text
            time.sleep(0.05)
        raise AssertionError(f"{selector} says {text!r} and not {pattern!r} within {seconds} s")

    def wait(self, condition: str, seconds: float) -> None:
        """Wait until some JavaScript returns true."""
        deadline = time.monotonic() + seconds
        while not self.window.execute_script(condition):
            if time.monotonic() > deadline:
                raise AssertionError(f"not so within {seconds} s: {condition}")
            time.sleep(0.05)

    def screenshot(self, path: Path) -> Path:
        """Save what the window shows as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self.window.save_screenshot(str(path))
        return path
