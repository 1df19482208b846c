"""`make play`: the page, on this machine only.

It is served to 127.0.0.1, behind guard.py, and asks nothing of the network. It runs code that is
typed into it, with your rights: never put it on another address, behind a proxy that others reach,
or through a tunnel. Gradio's own way of sharing is not used and cannot be switched on from here.
"""

import importlib.util
import os
import socket
import sys
import threading
import webbrowser

from minidiff.errors import UserError
from minidiff.io.paths import ROOT
from minidiff.play.targets import PORT, query_of
from minidiff.weights.known import second_folder


def main(
    weights: str | None = None,
    embeddings: str | None = None,
    device: str | None = None,
    dtype=None,
    port: int | None = None,
    no_browser: bool = False,
    open: str | None = None,
    weights_2: str | None = None,
) -> None:
    """Open the page and serve it until Ctrl-C. open: what it shows first, see targets.py.

    UserError without gradio, for a taken port, or for a target that is none.
    """
    check_installed()
    query = query_of(open) if open else ""
    sock = open_port(port)  # before the work
    import minidiff

    studio = minidiff.open(weights, device, dtype, embeddings)
    if open == "second" and weights_2 is None:
        second_folder(studio.model.folder)  # or say that there is none
    app = make_app(studio, weights, embeddings, sock.getsockname()[1], weights_2=weights_2)
    address = f"{app.address}&{query}" if query else app.address
    print(f"\n  {address}\n\nThe page runs what you type: keep this address to yourself.")
    print("Ctrl-C ends it.", flush=True)
    if not no_browser and has_screen():
        threading.Timer(0.5, webbrowser.open, [address]).start()
    serve(app, sock)


def check_installed() -> None:
    if importlib.util.find_spec("gradio") is None:
        raise UserError("the page needs gradio: `make play` installs it, or pip install '.[play]'")


def make_app(studio, weights, embeddings, port: int, token: str | None = None, weights_2=None):
    """The page behind its guard, as an ASGI application."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import fastapi
    import gradio

    from minidiff.play.guard import Guard
    from minidiff.play.page import STYLE, make_page, theme

    app = gradio.mount_gradio_app(
        fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        make_page(studio, weights, embeddings, weights_2),
        path="/",
        server_name="127.0.0.1",
        server_port=port,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        show_error=False,
        max_file_size="50mb",
        allowed_paths=[str(ROOT / "lessons" / "figures")],
        theme=theme(),
        css_paths=STYLE,
    )
    return Guard(app, port, token)


def open_port(port: int | None) -> socket.socket:
    """A socket of 127.0.0.1. Asked for none, the usual port, or any that is free."""
    wanted = [port] if port is not None else [PORT, 0]
    for number in wanted:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", number))
            sock.listen()  # a browser that is early waits, and is not turned away
            return sock
        except (OSError, OverflowError) as error:
            sock.close()
            reason = getattr(error, "strerror", None) or str(error)
    raise UserError(f"port {port} cannot be used ({reason}): give another one, or none")


def has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def serve(app, sock: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, lifespan="on")
    uvicorn.Server(config).run(sockets=[sock])
