"""A model hub on this machine, as much of one as a pull talks to, that misbehaves on request.

    with FakeHub(files, token="hf_secret") as hub:
        hub.cut_after = 1000        # close the connection after so many bytes of every answer

It serves one repository: the listing of a revision, and the files with ranges, redirected to a
second address as the real hub redirects large files.
"""

import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPO = "DeepFloyd/IF-I-M-v1.0"
LARGE = 1000  # bytes from which a file counts as large, and is checked by SHA-256


def revision_of(files: dict[str, bytes]) -> str:
    digest = hashlib.sha1()
    for name, content in sorted(files.items()):
        digest.update(name.encode() + content)
    return digest.hexdigest()


@dataclass
class FakeHub:
    files: dict[str, bytes]
    token: str = "hf_secret_of_the_tests"
    licensed: bool = True  # whether the token's account has accepted the licence
    cut_after: int | None = None
    cuts: int = 10**9  # how many answers are cut before the hub behaves
    corrupt: str | None = None  # the name of a file whose bytes are flipped on the way
    seconds_per_chunk: float = 0.0
    status: int | None = None  # answer everything with it
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    cdn_tokens: list[str | None] = field(default_factory=list)

    def __enter__(self) -> "FakeHub":
        self.hub = self.serve(Hub)
        self.cdn = self.serve(Cdn)
        self.url = f"http://127.0.0.1:{self.hub.server_port}"
        self.cdn_url = f"http://127.0.0.1:{self.cdn.server_port}"
        return self

    def serve(self, handler) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.state = self
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def __exit__(self, *_) -> None:
        for server in (self.hub, self.cdn):
            server.shutdown()
            server.server_close()

    @property
    def revision(self) -> str:
        return revision_of(self.files)

    def listing(self) -> dict:
        return {
            "id": REPO,
            "sha": self.revision,
            "gated": "auto",
            "siblings": [sibling(name, content) for name, content in self.files.items()],
        }

    def bytes_served(self, name: str) -> list[str | None]:
        """The Range header of every request for a file's content."""
        return [given for method, path, given in self.requests if method == "GET" and name in path]


def sibling(name: str, content: bytes) -> dict:
    entry = {"rfilename": name, "size": len(content), "blobId": git_sha1(content)}
    if len(content) >= LARGE:
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
    return entry


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def state(self) -> FakeHub:
        return self.server.state

    def log_message(self, *_) -> None:
        pass

    def answer(self, status: int, headers: dict, content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.stream(content)

    def stream(self, content: bytes) -> None:
        state, limit = self.state, len(content)
        if state.cut_after is not None and state.cuts > 0 and limit > state.cut_after:
            state.cuts, limit = state.cuts - 1, state.cut_after
        for i in range(0, limit, 1 << 12):
            self.wfile.write(content[i : min(i + (1 << 12), limit)])
            time.sleep(state.seconds_per_chunk)
        if limit < len(content):
            self.close_connection = True
            self.connection.close()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.state.requests.append((self.command, self.path, self.headers.get("Range")))
        try:
            self.handle_get()
        except (BrokenPipeError, ConnectionResetError, OSError):
            self.close_connection = True

    def send_file(self, content: bytes, headers: dict) -> None:
        given = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if given is None:
            return self.answer(200, headers, content)
        start = int(given[1])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self.answer(206, {**headers, "Content-Range": span}, content[start:])


class Hub(Handler):
    def handle_get(self) -> None:
        state = self.state
        if state.status is not None:
            return self.answer(state.status, {})
        path = self.path.split("?")[0].strip("/")
        if path.startswith(f"api/models/{REPO}"):
            return self.serve_listing(path)
        match = re.fullmatch(rf"{REPO}/resolve/([0-9a-f]+|main)/(.+)", path)
        if match is None:
            return self.answer(404, {"X-Error-Code": "RepoNotFound"})
        if (refusal := self.refusal()) is not None:
            return self.answer(*refusal)
        return self.serve_file(*match.groups())

    def refusal(self):
        given = self.headers.get("Authorization")
        if given is None:
            return 401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."}
        if given != f"Bearer {self.state.token}":
            return 401, {"X-Error-Message": "Invalid credentials in Authorization header"}
        if not self.state.licensed:
            return 403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Not in the list."}
        return None

    def serve_listing(self, path: str) -> None:
        """Open to all, as on the real hub: only the files are gated."""
        revision = path.partition("/revision/")[2] or "main"
        if revision not in ("main", self.state.revision):
            return self.answer(404, {"X-Error-Code": "RevisionNotFound"})
        content = json.dumps(self.state.listing()).encode()
        return self.answer(200, {"Content-Type": "application/json"}, content)

    def serve_file(self, revision: str, name: str) -> None:
        state = self.state
        if revision not in ("main", state.revision):
            return self.answer(404, {"X-Error-Code": "RevisionNotFound"})
        if name not in state.files:
            return self.answer(404, {"X-Error-Code": "EntryNotFound"})
        content = state.files[name]
        headers = {"X-Repo-Commit": state.revision, "Accept-Ranges": "bytes"}
        if len(content) < LARGE:
            return self.send_file(content, {**headers, "ETag": f'"{git_sha1(content)}"'})
        digest = hashlib.sha256(content).hexdigest()
        headers |= {"X-Linked-Size": len(content), "X-Linked-Etag": f'"{digest}"'}
        headers |= {"ETag": f'"{digest}"', "Location": f"{state.cdn_url}/{name}"}
        return self.answer(302, headers)


class Cdn(Handler):
    def handle_get(self) -> None:
        state, name = self.state, self.path.strip("/")
        state.cdn_tokens.append(self.headers.get("Authorization"))
        content = state.files[name]
        if state.corrupt == name:
            content = bytes([content[0] ^ 1]) + content[1:]
        return self.send_file(content, {"Accept-Ranges": "bytes"})
