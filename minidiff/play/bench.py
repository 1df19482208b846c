"""Runs changed code beside the shipped code, in processes of their own, and tells what happens.

A run is three processes deep. The page asks a fork server, which has imported torch and nothing
else, for a process; that one copies the package with the change in it and calls the grader's
sandbox, which forks once more under limits of time and memory and draws a scene with the copy.
Stopping a run ends all of it.
"""

import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from torch import Tensor

from minidiff.errors import UserError
from minidiff.play.remote import Answerer, receive

PRELOAD = ["torch", "torchvision.transforms.functional", "safetensors.torch", "PIL.Image"]
CPU_LIMIT = 12.0  # seconds of the processor for the student's code; the UNet does not count
OWN_UNET_LIMIT = 120.0  # the same where the changed code is the network's own
QUIET_LIMIT = 60.0  # seconds without a word
NETWORKS = ("minidiff/deepfloyd/", "minidiff/mnist/")  # changed there, the copy loads its own


@dataclass(frozen=True)
class Order:
    """What one process is to draw.

    changes   texts of files of the package, by path, in place of those on disk
    scene     one of grade/scenes.py's; prompts, seed, steps: see scenes.Stage
    exercises that are graded afterwards
    own_unet  load the demo with the copy's networks, in place of asking the page: see needs_unet
    cpu_limit seconds of the processor, None for the usual ones
    """

    changes: dict[str, str]
    scene: str
    prompts: tuple[str, ...]
    seed: int
    steps: int
    exercises: tuple[str, ...] = ()
    weights: str | None = None
    own_unet: bool = False
    cpu_limit: float | None = None


@dataclass
class Event:
    """kind: "strip" (pictures, captions, done), "losses", "verdict", "error" or "end"."""

    kind: str
    pictures: Tensor | None = None
    told: dict = field(default_factory=dict)


# --- in the new process ---------------------------------------------------------------------------


def serve(order: Order, talk: Connection, report: Connection) -> None:
    """The life of a run's process."""
    os.setsid()  # stopping it stops what it has forked
    from minidiff.grade import sandbox

    with tempfile.TemporaryDirectory() as folder:
        copy_with(order.changes, Path(folder))
        limit = order.cpu_limit or (OWN_UNET_LIMIT if order.own_unet else CPU_LIMIT)
        outcome = sandbox.call(lambda: perform(order, Path(folder), talk), limit, wait=3600)
        talk.close()
        if outcome.kind != "ok":
            report.send_bytes(encode("error", sentence=outcome.sentence, printed=outcome.printed))
        elif outcome.printed:
            report.send_bytes(encode("printed", printed=outcome.printed))
        for name in order.exercises:
            report.send_bytes(encode("verdict", **verdict(name, folder)))
    report.send_bytes(encode("end"))


def encode(kind: str, **told) -> bytes:
    return json.dumps({"kind": kind, "shape": None, **told}).encode()


def copy_with(changes: dict[str, str], folder: Path) -> None:
    """A copy of the package on disk with these texts in it, in folder/minidiff."""
    from minidiff.grade.mutants import copy_package

    copy_package(folder)
    for file, text in changes.items():
        (folder / file).write_text(text, encoding="utf-8")


def perform(order: Order, root: Path, talk: Connection) -> None:
    """Draw the scene with the copy under root, step by step; this runs in the sandbox."""
    from minidiff.grade.source import import_from
    from minidiff.io.paths import ROOT, weights_folder

    weights = None if order.own_unet else weights_folder(order.weights).absolute()
    (root / "weights").symlink_to(ROOT / "weights")
    import_from(root)
    from minidiff.grade import scenes  # with the copy's modules, and so are these
    from minidiff.model import load
    from minidiff.play.remote import Link, remote_studio

    link = Link(talk)

    def open_studio():
        if order.own_unet:
            return scenes.Studio(load(device="cpu"))
        return remote_studio(scenes.Studio(load(weights, device="cpu")), link, order.prompts)

    stage = scenes.Stage(open_studio, order.prompts[:3], order.seed, order.steps)
    told = 0.0
    for strip in scenes.SCENES[order.scene](stage):
        if strip.done >= 1 or time.monotonic() - told > 0.15:
            link.tell("strip", stack(strip.pictures), captions=strip.captions, done=strip.done)
            told = time.monotonic()
    link.tell("losses", losses=scenes.losses(order.scene, stage))


def stack(pictures: Sequence[Tensor]) -> Tensor:
    import torch

    return torch.stack([x.detach().float().cpu() for x in pictures])


def verdict(name: str, folder: str) -> dict:
    """What the grader says about one exercise of the copy."""
    from minidiff.grade.exercises import all_exercises
    from minidiff.grade.runner import grade
    from minidiff.grade.source import choose

    return asdict(grade(all_exercises()[name], choose(folder)))


# --- on the page ----------------------------------------------------------------------------------


class Run:
    """One order at work."""

    def __init__(self, name: str, order: Order):
        self.name, self.ended = name, False
        context = fork_server()
        self.talk, talk = context.Pipe()
        self.report, report = context.Pipe(duplex=False)
        self.process = context.Process(target=serve, args=(order, talk, report))
        self.process.start()
        talk.close()
        report.close()
        self.heard = time.monotonic()

    def connections(self) -> list[Connection]:
        return [c for c in (self.talk, self.report) if not c.closed] if not self.ended else []

    def stop(self) -> None:
        self.ended = True
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # it has no group of its own yet, or is gone
            self.process.kill()
        self.process.join(5)
        for connection in (self.talk, self.report):
            connection.close()


def fork_server():
    if "forkserver" not in multiprocessing.get_all_start_methods():
        raise UserError("changed code runs in a fork: use Linux, macOS, or WSL on Windows")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def warm_up() -> None:
    """Start the fork server now, so that the first run need not wait for torch's import."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        process = fork_server().Process(target=int)
        process.start()
        process.join()


def run_together(
    orders: dict[str, Order], answerer: Answerer, stopped: Callable[[], bool]
) -> Iterator[tuple[str, Event]]:
    """Events of several orders, as they come, by the order's name; until all have ended."""
    runs = {name: Run(name, order) for name, order in orders.items()}
    try:
        while not all(run.ended for run in runs.values()) and not stopped():
            ready = wait([c for run in runs.values() for c in run.connections()], timeout=0.2)
            for run in runs.values():
                for connection in [c for c in run.connections() if c in ready]:
                    yield from ((run.name, event) for event in hear(run, connection, answerer))
                if not run.ended and time.monotonic() - run.heard > QUIET_LIMIT:
                    run.stop()
                    sentence = f"did nothing for {QUIET_LIMIT:.0f} seconds"
                    yield run.name, Event("error", told={"sentence": sentence})
    finally:
        for run in runs.values():
            run.stop()


def hear(run: Run, connection: Connection, answerer: Answerer) -> Iterator[Event]:
    """One message of a run: a question is answered, anything else is an event."""
    try:
        message, pictures = receive(connection)
        if message["kind"] == "ask":
            connection.send_bytes(answerer.answer(message, pictures))
        elif message["kind"] == "end":
            run.stop()
            yield Event("end")
        else:
            yield Event(message["kind"], pictures, message)
    except (EOFError, OSError):  # its sandbox has ended, and the report says how; or nothing will
        connection.close()
        if connection is run.report:
            run.stop()
            yield Event("error", told={"sentence": "ended without a word"})
    except UserError as error:
        run.stop()
        yield Event("error", told={"sentence": str(error)})
    run.heard = time.monotonic()


# --- orders ---------------------------------------------------------------------------------------


def needs_unet(file: str, scene: str) -> bool:
    """Whether a run must have networks of its own: one of them was changed, or draws digits."""
    return scene in ("digits", "class_digits") or file.startswith(NETWORKS)
