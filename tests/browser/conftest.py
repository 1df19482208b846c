"""The page in a real Chromium, served as `make play` serves it, with the demo."""

import os
import shutil
import threading
from pathlib import Path
from typing import ClassVar

import pytest

OUT = Path(__file__).resolve().parents[2] / "out" / "browser"
WIDTHS = (1280, 390)
PATIENCE = 1000 * int(os.environ.get("BROWSER_PATIENCE", "180"))  # milliseconds, on busy machines


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class Served:
    """The running page: its address, and its port."""

    ports: ClassVar[list[int]] = []  # of all that run

    def __init__(self, weights=None):
        import minidiff
        from minidiff.play.server import make_app, open_port, serve

        sock = open_port(0)
        self.port = sock.getsockname()[1]
        self.ports.append(self.port)
        self.studio = minidiff.open(weights)
        self.guard = make_app(self.studio, weights, None, self.port)
        self.reached: list[tuple[str, str]] = []  # (method, path) of what the guard let through
        self.guard.app = self.counting(self.guard.app)
        threading.Thread(target=serve, args=(self.guard, sock), daemon=True).start()

    def counting(self, app):
        async def counted(scope, receive, send):
            if scope["type"] != "lifespan":  # which is the server's own
                self.reached.append((scope.get("method", ""), scope.get("path", "")))
            await app(scope, receive, send)

        return counted

    def address(self, query: str = "") -> str:
        return self.guard.address + (f"&{query}" if query else "")


@pytest.fixture(scope="session")
def served() -> Served:
    pytest.importorskip("gradio", reason="the page needs gradio: `make test-browser`")
    return Served()


@pytest.fixture(scope="session")
def served_second(served, tmp_path_factory) -> Served:
    """The same with a small random checkpoint, and a second stage beside it."""
    from tiny_checkpoint import write_tiny_checkpoint, write_tiny_second

    folder = tmp_path_factory.mktemp("weights")
    write_tiny_second(folder / "IF-II-M-v1.0")
    return Served(write_tiny_checkpoint(folder / "IF-I-M-v1.0"))


@pytest.fixture(scope="session")
def served_alone(served, tmp_path_factory) -> Served:
    """A first stage that has no second one beside it."""
    from tiny_checkpoint import write_tiny_checkpoint

    return Served(write_tiny_checkpoint(tmp_path_factory.mktemp("alone") / "IF-I-M-v1.0"))


@pytest.fixture(scope="session")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="`make test-browser` installs it")
    path = find_chromium()
    if path is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(served, browser, request):
    """A tab of its own. Afterwards: no error in the console, no request to anywhere else."""
    for name in ("served_second", "served_alone"):  # their ports are asked for below
        if name in request.fixturenames:
            request.getfixturevalue(name)
    context = browser.new_context(viewport={"width": WIDTHS[0], "height": 900})
    context.set_default_timeout(PATIENCE)
    page, wrong = context.new_page(), []
    own = (*(f"http://127.0.0.1:{port}/" for port in served.ports), "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(own) else wrong.append(r.url))
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("response", lambda r: wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    yield page
    context.close()
    assert wrong == []


@pytest.fixture
def keep(page):
    """keep("name"): screenshots at both widths, in out/browser."""

    def shoot(name: str) -> None:
        OUT.mkdir(parents=True, exist_ok=True)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(400)
            page.screenshot(path=OUT / f"{name}-{width}.png", full_page=True)
            sideways = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert sideways <= 1, f"{name} is {sideways} pixels too wide at {width}"
        page.set_viewport_size({"width": WIDTHS[0], "height": 900})

    return shoot
