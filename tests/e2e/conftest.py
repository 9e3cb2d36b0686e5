"""The ring page in a real browser, against the real server."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from api.settings import Settings
from api.wiring import build
from tests.e2e.driven import Server, Watched
from tests.served import served
from tests.small_model import save_model

LISTENING = re.compile(r"http://[\w.\[\]:]+:\d+")
START_S = 240  # compiles kernels where no cache is warm


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    found = found or shutil.which("google-chrome")
    if found is None:
        reason = "there is no Chromium on PATH to drive the ring page with"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)  # never in CI
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server on a free port, ready to answer; with a model or in dinars on demand.

    A process takes ten seconds to start: one is `ringfence serve`, as users have it, all others are
    in this process.
    """
    with opened(getattr(request, "param", None), tmp_path) as server:
        yield server


def opened(kind: str | None, folder: Path) -> AbstractContextManager[Server]:
    if kind == "with a model":
        return here(folder, save_model(folder / "model"))
    if kind == "in dinars":
        (folder / "rates.toml").write_text('base = "RSD"\n[rates]\nEUR = "117"\n')
        return apart(folder, RINGFENCE_RATES=str(folder / "rates.toml"))
    return here(folder)


@contextmanager
def here(folder: Path, model: Path | None = None) -> Iterator[Server]:
    settings = Settings.load(
        {}, data_dir=folder / "data", model_dir=model, port=0, log_level="error"
    )
    with served(build(settings)) as client:
        yield Server(str(client.base_url).rstrip("/"))


@contextmanager
def apart(folder: Path, **environment: str) -> Iterator[Server]:
    data = str(folder / "data")
    command = [sys.executable, "-m", "api.cli", "serve", "--port", "0", "--data", data]
    said: list[str] = []
    listening = threading.Event()
    with subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        stderr = process.stderr

        def listen() -> None:
            for line in stderr:
                said.append(line)
                if LISTENING.search(line):
                    listening.set()

        reader = threading.Thread(target=listen, daemon=True)
        reader.start()
        try:
            assert listening.wait(START_S), "".join(said)
            found = LISTENING.search("".join(said))
            assert found is not None
            server = Server(found.group())
            wait_ready(server)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            reader.join(5)


def wait_ready(server: Server) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if httpx.get(f"{server.url}/readyz", timeout=15).status_code == 200:
            return
        time.sleep(0.1)
    raise AssertionError(f"not ready within {START_S} s")


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def watched(server: Server, context: BrowserContext) -> Watched:
    page = context.new_page()
    page.set_default_timeout(15_000)
    watched = Watched(page, [], [])
    page.on(
        "console",
        lambda said: watched.complaints.append(said.text) if said.type != "log" else None,
    )
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on(
        "request",
        lambda request: (
            watched.strangers.append(request.url)
            if not request.url.startswith((server.url, "data:"))
            else None
        ),
    )
    return watched
