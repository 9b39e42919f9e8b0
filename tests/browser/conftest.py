"""Tests in a real Chromium; they run only when this folder is named, as `make test-browser` does."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tropism.data.label_choices import Choice, read_choices

HERE = Path(__file__).parent
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
MOST_TRIES = 600


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out unless it, or something in it, is named."""
    named = [Path(str(one).split("::")[0]) for one in config.invocation_params.args if not str(one).startswith("-")]
    return None if any((config.invocation_params.dir / one).is_relative_to(HERE) for one in named) else True


@dataclass
class Server:
    """`tropism label` on a port of the loopback, which can be killed and started again."""

    folder: Path
    options: tuple[str, ...] = ()
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def choices(self) -> list[Choice]:
        """What stands in the file."""
        return list(read_choices(self.folder / "choices.sqlite"))

    def start(self) -> None:
        """Start and wait until it answers."""
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as listening:
                self.port = listening.getsockname()[1]
        command = [sys.executable, "-m", "tropism", "label", "groups.parquet", "--port", str(self.port), *self.options]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, env=os.environ)
        for _ in range(MOST_TRIES):
            assert self.process.poll() is None, "the server ended"
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the server did not start")

    def stop(self, sign: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and wait for the end."""
        if self.process is not None:
            self.process.send_signal(sign)
            self.process.wait(20)
            self.process = None


@dataclass
class Watched:
    """A page, and everything it asked for, said and complained about."""

    page: Page
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def enter(self, address: str, name: str) -> None:
        """Open the page and give a name."""
        self.page.goto(address)
        self.page.wait_for_url(address.partition("?")[0] if "?" in address else f"{address}/")
        self.page.fill("#name", name)
        self.page.keyboard.press("Enter")
        self.page.locator("#choice").wait_for()

    def press(self, key: str, *, num_answered: int) -> None:
        """Press a key and wait until so many are answered."""
        self.page.keyboard.press(key)
        self.page.locator(".progress b", has_text=re.compile(f"^{num_answered}$")).wait_for()
        self.page.locator("body:not(.sending)").wait_for()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or another one on the path; none is ever downloaded."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found is not None, "no Chromium on this machine: install Debian's package `chromium`"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers on `groups.parquet` in the test's folder."""
    servers: list[Server] = []

    def make(*options: str) -> Server:
        server = Server(tmp_path, options)
        servers.append(server)
        server.start()
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def watch(browser: Browser) -> Iterator[Callable[..., Watched]]:
    """Opens watched pages, each in a context of its own."""
    contexts: list[BrowserContext] = []

    def make(*, width: int = 1280, height: int = 800, theme: str = "light", scripts: bool = True) -> Watched:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            java_script_enabled=scripts,
            has_touch=width < 600,
            is_mobile=width < 600,
            device_scale_factor=2 if width < 600 else 1,
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        return Watched(context.new_page())

    yield make
    for context in contexts:
        context.close()
