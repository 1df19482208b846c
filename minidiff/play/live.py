"""Walks as the page watches them: stopped when somebody says so, kept step by step, timed."""

import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps

import numpy as np
from torch import Tensor

from minidiff.equations import posterior_mean
from minidiff.errors import UserError
from minidiff.play.show import to_bytes
from minidiff.sampling import Step
from minidiff.studio import Job, Studio

VIEWS = {  # what the slider can show of a step, and what it is called
    "x": "after the step",
    "x_t": "before it (x_t)",
    "x0": "estimate of x0",
    "eps": "noise estimate",
    "v": "variance",
}
NOISE_RANGE = 3.0  # standard deviations from black to grey, and from grey to white


class Stops:
    """Who has asked to stop, by session; a new run of a session begins unasked."""

    def __init__(self):
        self.events: dict[str, threading.Event] = {}

    def begin(self, session: str) -> Callable[[], bool]:
        """A function that says whether this run shall stop. An earlier one of the session does."""
        self.stop(session)
        self.events[session] = event = threading.Event()
        return event.is_set

    def stop(self, session: str) -> None:
        if session in self.events:
            self.events[session].set()

    def forget(self, session: str) -> None:
        """The tab was closed."""
        self.stop(session)
        self.events.pop(session, None)


@dataclass
class Kept:
    """One step as bytes: pictures (B, H, W, 3) by the names of VIEWS."""

    t: int
    t_prev: int
    pictures: dict[str, np.ndarray]


@dataclass
class Record:
    """A walk so far."""

    captions: list[str]
    schedule: object
    total: int
    began: float = field(default_factory=time.monotonic)
    steps: list[Kept] = field(default_factory=list)
    stopped: bool = False
    last: Tensor | None = None  # the pictures as they stand, (B, 3, H, W) in [-1, 1]

    def add(self, step: Step) -> None:
        self.last = step.x
        moved = {"x0": step.x0, "eps": step.eps / NOISE_RANGE, "v": step.v}
        pictures = {"x": to_bytes(step.x), "x_t": to_bytes(step.x_t)}
        for name, rows in moved.items():
            whole = step.x_t.clone()  # who has not joined the walk stands still in every view
            whole[step.rows] = rows.to(whole.dtype)
            pictures[name] = to_bytes(whole)
        self.steps.append(Kept(step.t, step.t_prev, pictures))

    def seconds_left(self) -> float:
        each = (time.monotonic() - self.began) / max(len(self.steps), 1)
        return each * (self.total - len(self.steps))

    def progress(self) -> str:
        """Where the walk is, in words."""
        done = len(self.steps)
        if self.stopped:
            return f"stopped after step {done} of {self.total}"
        if done == self.total:
            return f"{done} steps in {time.monotonic() - self.began:.1f} s"
        return f"step {done} of {self.total}, {self.seconds_left():.0f} s left"

    def numbers(self, index: int) -> list[tuple[str, str]]:
        """What equation A.3 is made of at a step: both levels, and what x0 and x_t weigh."""
        import torch

        step, one, zero = (
            self.steps[index],
            torch.ones(1, 1, 1, 1).double(),
            torch.zeros(1, 1, 1, 1),
        )
        abar, abar_prev = (self.schedule.abar(t, like=one) for t in (step.t, step.t_prev))
        zero = zero.double()
        numbers = {
            "t": step.t,
            "t'": "x0" if step.t_prev < 0 else step.t_prev,
            "ᾱ": abar,
            "ᾱ'": abar_prev,
            "α = ᾱ / ᾱ'": abar / abar_prev,
            "β = 1 − α": 1 - abar / abar_prev,
            "weight of x0 in A.3": posterior_mean(zero, one, abar, abar_prev),
            "weight of x_t in A.3": posterior_mean(one, zero, abar, abar_prev),
        }
        return [(name, number(value)) for name, value in numbers.items()]


def number(value) -> str:
    return str(value) if isinstance(value, (int, str)) else f"{float(value):.4g}"


def walk(
    studio: Studio, job: Job, captions: list[str], stopped: Callable[[], bool]
) -> Iterator[Record]:
    """The record of a job's walk after every step, and once more when it was stopped."""
    record = Record(captions, studio.model.schedule, job.steps)
    for step in studio.walk(job):
        record.add(step)
        yield record
        if stopped() and len(record.steps) < record.total:
            record.stopped = True
            yield record
            return


def sentence(error: BaseException) -> str:
    """What went wrong, in a sentence; what is our own fault is also printed where we started."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error):
        return "not enough memory: ask for fewer pictures at once"
    traceback.print_exception(error)
    return f"something is wrong with the page itself ({type(error).__name__}: {error})"


@contextmanager
def remarks() -> Iterator[list[str]]:
    """What is warned of within the block, such as words that a model does not know, in a list."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield said
    said += dict.fromkeys(str(w.message) for w in caught if w.category is UserWarning)


def told(show: Callable[[str], object]):
    """Decorates a generator of updates: an error becomes the update that `show` makes of it."""

    def decorate(function):
        @wraps(function)
        def run(*args, **kwargs):
            try:
                yield from function(*args, **kwargs)
            except Exception as error:
                yield show(sentence(error))

        return run

    return decorate
