"""What a page that is open in the same browser, or a program that guesses, can get: nothing.

Sent by hand to the running page, so that what a server makes of a request counts, too.
"""

import http.client
import json
import socket
from urllib.parse import quote

import pytest

from minidiff.io.paths import ROOT

HOSTS = [
    "localhost.evil.com",
    "127.0.0.1.evil.com",
    "evil.com",
    "localhost.",
    "127.0.0.1.",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "0.0.0.0",
    "127.1",
    "2130706433",
    "127.0.0.2",
    "user@127.0.0.1",
    "",
]
ORIGINS = [
    "http://evil.com",
    "http://127.0.0.1.evil.com",
    "http://localhost.evil.com",
    "https://127.0.0.1",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://[::1]",
    "null",
    "file://",
    "",
]
ROUTES = [
    ("GET", "/"),
    ("GET", "/config"),
    ("GET", "/gradio_api/info"),
    ("GET", "/gradio_api/queue/data?session_hash=a"),  # a stream of events
    ("GET", "/gradio_api/heartbeat/a"),  # likewise
    ("GET", "/gradio_api/queue/status"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/run/predict"),
    ("POST", "/gradio_api/call/try_it"),
    ("POST", "/gradio_api/cancel"),
    ("POST", "/gradio_api/upload"),
    ("POST", "/gradio_api/component_server"),
    ("GET", "/gradio_api/file=/etc/passwd"),
    ("GET", "/gradio_api/proxy=http://evil.com/"),
    ("OPTIONS", "/gradio_api/queue/join"),  # a browser's question before a request across origins
    ("GET", "//"),
    ("GET", "/%2e%2e/config"),
]


class Answer:
    def __init__(self, answer: http.client.HTTPResponse):
        self.status, self.body = answer.status, b""
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        if self.headers.get("content-type") != "text/event-stream":
            self.body = answer.read()


def ask(served, method: str, path: str, headers: dict | None = None, body: bytes = b"") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request(method, path, body=body or None, headers=headers or {})
    return Answer(connection.getresponse())


def token(served) -> dict[str, str]:
    return {"Cookie": f"{served.guard.cookie}={served.guard.token}"}


def by_hand(served, lines: list[str]) -> str:
    """The first line of the answer to a request that is typed as it stands."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as sock:
        sock.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        return sock.recv(1000).decode("latin-1").split("\r\n", 1)[0]


@pytest.fixture
def nothing_reached(served):
    before = len(served.reached)
    yield
    assert served.reached[before:] == []


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_the_token_no_route_answers(served, nothing_reached, method, path):
    assert ask(served, method, path).status == 403
    assert ask(served, method, path, {"Cookie": f"{served.guard.cookie}=guess"}).status == 403


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("method", "path"), ROUTES[:7])
def test_by_another_name_no_route_answers(served, nothing_reached, method, path, host):
    named = {"Host": f"{host}:{served.port}", **token(served)}
    assert ask(served, method, path, named).status in (400, 403)
    assert ask(served, method, path, {**named, "Host": host}).status in (400, 403)


def test_without_a_host_or_with_two_there_is_no_answer(served, nothing_reached):
    own, cookie = f"Host: 127.0.0.1:{served.port}", f"Cookie: {token(served)['Cookie']}"
    for lines in (
        ["GET / HTTP/1.1"],
        ["GET / HTTP/1.0"],
        ["GET / HTTP/1.1", own, "Host: evil.com"],
    ):
        assert by_hand(served, [*lines, cookie]).split()[1] in ("400", "403")
    for target in ("http://evil.com/config", f"http://evil.com:{served.port}/"):
        lines = [f"GET {target} HTTP/1.1", "Host: evil.com", cookie]
        assert by_hand(served, lines).split()[1] in ("400", "403")


def test_upper_case_is_the_same_name(served):
    for name in ("LOCALHOST", "LocalHost", "127.0.0.1"):
        named = {"Host": f"{name}:{served.port}", **token(served)}
        assert ask(served, "GET", "/", named).status == 200


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("path", ["queue/join", "run/predict", "upload", "component_server"])
def test_a_page_of_another_origin_posts_nothing(served, nothing_reached, path, origin):
    assert (
        ask(served, "POST", f"/gradio_api/{path}", {"Origin": origin, **token(served)}).status
        == 403
    )


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("mode", ["cors", "no-cors", "navigate", "websocket"])
def test_a_page_of_another_site_may_link_and_no_more(served, site, mode):
    told = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, **token(served)}
    before = len(served.reached)
    for method, path in ROUTES[1:]:
        assert ask(served, method, path, told).status == 403
    assert ask(served, "POST", "/", told).status == 403
    assert served.reached[before:] == []
    assert ask(served, "GET", "/?tab=draw", told).status == (200 if mode == "navigate" else 403)


def test_a_websocket_is_refused(served):
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # fmt: skip
    own, cookie = f"Host: 127.0.0.1:{served.port}", f"Cookie: {token(served)['Cookie']}"
    for path in ("/", "/queue/join", "/gradio_api/queue/join", "/gradio_api/stream/a"):
        lines = [f"GET {path} HTTP/1.1", own, cookie, *upgrade]
        assert by_hand(served, lines).split()[1] != "101"
        before = len(served.reached)
        foreign = by_hand(served, [*lines, "Origin: http://evil.com"])
        assert foreign.split()[1] == "403" and served.reached[before:] == []


def test_no_answer_allows_another_origin_to_read_it(served):
    own = {"Origin": f"http://127.0.0.1:{served.port}", **token(served)}
    for path in ("/", "/config", "/gradio_api/info"):
        for headers in (own, {"Origin": "http://evil.com", **token(served)}):
            answer = ask(served, "GET", path, headers)
            assert answer.headers.get("access-control-allow-origin") in (None, own["Origin"])


# --- with the token: what the page itself could be made to ask ----------------------------------


FILES = [
    "/etc/passwd",
    str(ROOT / "pyproject.toml"),
    str(ROOT / "minidiff" / "equations.py"),
    str(ROOT / ".git" / "config"),
    str(ROOT / "lessons" / "figures" / ".." / ".." / "pyproject.toml"),
    "pyproject.toml",
    "minidiff/equations.py",
    "../../../etc/passwd",
    "/proc/self/environ",
]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", [str, quote, lambda text: quote(text, safe="")])
def test_no_file_but_the_books_figures_is_served(served, file, how):
    for route in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/static/", "/assets/"):
        answer = ask(served, "GET", route + how(file), token(served))
        assert answer.status in (307, 400, 403, 404, 405), (route, answer.status, answer.body[:80])


def test_the_books_figures_are_served(served):
    figure = ROOT / "lessons" / "figures" / "05-broken.png"
    answer = ask(served, "GET", f"/gradio_api/file={figure}", token(served))
    assert answer.status == 200 and answer.body == figure.read_bytes()


@pytest.mark.parametrize("route", ["/gradio_api/proxy=", "/proxy=", "/gradio_api/file="])
@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:1/", "http://evil.example/a", "file:///etc/passwd"]
)
def test_the_page_fetches_nothing_for_anybody(served, route, target):
    answer = ask(served, "GET", route + target, token(served))
    assert answer.status in (302, 307, 400, 403, 404)  # a redirect is the browser's to refuse
    assert "default-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.xhtml", "a.js"])
def test_an_uploaded_page_never_runs_here(served, name):
    script = b"<html><svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg></html>"
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="' + name.encode()
        + b'"\r\nContent-Type: text/html\r\n\r\n' + script + b"\r\n--x--\r\n"
    )  # fmt: skip
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    sent = ask(served, "POST", "/gradio_api/upload", {**kind, **token(served)}, body)
    assert sent.status == 200
    answer = ask(served, "GET", f"/gradio_api/file={json.loads(sent.body)[0]}", token(served))
    assert answer.status == 200 and answer.headers["x-content-type-options"] == "nosniff"
    runs = answer.headers["content-type"].startswith(
        ("text/html", "image/svg", "application/xhtml")
    )
    kept = answer.headers.get("content-disposition", "").startswith("attachment")
    assert kept or not runs, answer.headers


def test_an_upload_stays_in_its_folder(served):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="../../../../escaped.py"'
        b"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--\r\n"
    )
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    sent = ask(served, "POST", "/gradio_api/upload", {**kind, **token(served)}, body)
    if sent.status == 200:
        path = json.loads(sent.body)[0]
        assert ".." not in path and "gradio" in path
    assert not list(ROOT.parent.glob("escaped.py")) and not (ROOT / "escaped.py").exists()


def test_the_link_of_another_site_runs_nothing(served):
    """It can name a mistake of the catalogue, which is shown; code it cannot bring."""
    told = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", **token(served)}
    answer = ask(served, "GET", "/?tab=equation&code=import+os&function=os.system", told)
    assert answer.status == 200 and b"import os" not in answer.body
