"""Who may speak to the page: only the browser that was given this start's address.

The page runs code that a student types, so nobody else may make it do so. Four things are asked of
every request, before anything of the page sees it:

    Host            this machine's own name and port: a foreign name that resolves to 127.0.0.1 is
                    how another site's script would come in (DNS rebinding)
    Origin          where there is one, the page itself
    Sec-Fetch-Site  where there is one, the page itself; a link from elsewhere may open the page
    token           a secret of this start, in the address at first and in a cookie after that

A plain ASGI wrapper: it knows nothing of what it guards.
"""

import secrets
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

HEADERS = {
    # What the page may fetch: its own files, and pictures written into it.
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:;"
        " style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:;"
        " connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none';"
        " form-action 'self'; frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
NO_TOKEN = (
    "This page belongs to whoever started it. Open the address that `make play` printed: it carries"
    " the token of this start."
)


class Guard:
    """Wraps an ASGI application; `address` is what to open in a browser."""

    def __init__(self, app: Callable[..., Awaitable], port: int, token: str | None = None):
        self.app, self.port = app, port
        self.token = token or secrets.token_urlsafe(24)
        names = ("127.0.0.1", "localhost")
        self.hosts = {f"{name}:{port}" for name in names} | (set(names) if port == 80 else set())
        self.origins = {f"http://{host}" for host in self.hosts}
        self.cookie = f"minidiff-play-{port}"  # browsers do not tell ports apart

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # the page uses no websocket
            return await send({"type": "websocket.close", "code": 1008})
        headers = read_headers(scope)
        if refusal := self.refusal(scope, headers):
            return await answer(send, 403, refusal)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token", "")
        if is_opening(scope) and given and self.is_token(given):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            return await self.let_in(send, "/?" + rest if rest else "/")
        if not self.is_token(self.cookie_of(headers)):
            return await answer(send, 403, NO_TOKEN)
        return await self.app(scope, receive, with_headers(send))

    def refusal(self, scope, headers: dict[str, list[str]]) -> str:
        """Why a request is none of the page's own, "" for one that may be."""
        if len(headers["host"]) != 1 or headers["host"][0].lower() not in self.hosts:
            return f"This page answers at 127.0.0.1:{self.port} only."
        if any(origin not in self.origins for origin in headers["origin"]):
            return "A page of another origin has no business here."
        if any(site not in ("same-origin", "none") for site in headers["sec-fetch-site"]):
            link = is_opening(scope) and headers["sec-fetch-mode"] == ["navigate"]
            if not link:
                return "A page of another site may link here, and no more."
        return ""

    def is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self.token.encode())

    def cookie_of(self, headers: dict[str, list[str]]) -> str:
        try:
            cookies = SimpleCookie("; ".join(headers["cookie"]))
        except CookieError:
            return ""
        return cookies[self.cookie].value if self.cookie in cookies else ""

    async def let_in(self, send, target: str) -> None:
        """Put the token into a cookie, and take it out of the address bar."""
        cookie = f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Lax"
        more = [(b"location", target.encode()), (b"set-cookie", cookie.encode())]
        await answer(send, 303, "", more)


def is_opening(scope) -> bool:
    """Whether a request asks for the page itself, as a link does."""
    return scope["method"] in ("GET", "HEAD") and scope["path"] == "/"


def read_headers(scope) -> dict[str, list[str]]:
    """The headers that are looked at, each with all its values."""
    found = {name: [] for name in ("host", "origin", "cookie", "sec-fetch-site", "sec-fetch-mode")}
    for name, value in scope["headers"]:
        if (key := name.decode("latin-1").lower()) in found:
            found[key].append(value.decode("latin-1"))
    return found


def with_headers(send):
    """The same `send`, whose answers carry HEADERS."""

    async def guarded(message) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            kept = [
                (n, v) for n, v in message.get("headers", []) if n.decode().lower() not in HEADERS
            ]
            message = {**message, "headers": [*kept, *own]}
        await send(message)

    return guarded


async def answer(send, status: int, text: str, more=()) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *more]
    send = with_headers(send)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
