"""Runs a piece of code in a process of its own, so that nothing it does can hurt the grader.

The process is a fork: torch is there already. It has limits on time and memory, and what it prints
is kept up to a length. Time is the processor's, so that a busy machine gives the same verdict; only
code that sleeps meets the limit of the clock. Processes that it has started end with it. Whatever
happens comes back as an Outcome.
"""

import contextlib
import ctypes
import importlib
import importlib.util
import io
import math
import multiprocessing
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path

import torch

from minidiff.errors import UserError
from minidiff.grade.expect import told

if importlib.util.find_spec("resource"):  # not on Windows, where `call` refuses
    import resource

TIME_LIMIT = 20.0  # seconds of processor time
WAIT_LIMIT = 60.0  # seconds by the clock
MEMORY_LIMIT = 6 << 30  # bytes of address space beyond what the process has at its start
KEPT_OUTPUT = 1000  # characters of what the code prints


@dataclass
class Outcome:
    """How a call ended: "ok" with a value, or one sentence saying why not.

    kind is "ok", "raised" (error is the exception's name), "timeout" or "died". line is that of
    the student's file where it was raised, 0 if there is none; hint and mistake come from Wrong.
    """

    kind: str
    value: object = None
    error: str = ""
    sentence: str = ""
    printed: str = ""
    line: int = 0
    hint: str = ""
    mistake: str = ""


def preload(library: str) -> None:
    """Import an installed library now, once, that all forks would import for themselves."""
    importlib.import_module(library)


def call(
    function: Callable[[], object],
    limit: float = TIME_LIMIT,
    wait: float = WAIT_LIMIT,
    told: list | None = None,
) -> Outcome:
    """Call function() in a fork and bring back what it returns, which must be picklable.

    limit: seconds of processor time, rounded up to whole ones. wait: seconds by the clock.
    told: function is called with `tell`; the (kind, value) it tells are here even if it never
    returns, and the clock begins anew after one that is "failed".
    """
    torch.set_num_threads(1)  # no thread pool may exist when the process forks
    context = fork_context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(function, sender, limit, told is not None))
    process.daemon = True
    process.start()
    sender.close()
    end = time.monotonic() + wait
    try:
        while receiver.poll(max(0.0, end - time.monotonic())):
            message = receiver.recv()
            if isinstance(message, Outcome):
                return message
            told.append(message)
            if message[0] == "failed":  # what follows is the grader's own, and bounded
                end = time.monotonic() + wait
        return Outcome("timeout", sentence=f"did not finish within {wait:.0f} seconds")
    except EOFError:
        process.join(1)
        return ended(process.exitcode, limit)
    except (pickle.UnpicklingError, OSError, ValueError, TypeError, AttributeError, IndexError):
        return Outcome("died", sentence="wrote into the grader's own pipe")
    finally:
        end_all(process.pid)
        process.join()
        receiver.close()


def end_all(worker: int) -> None:
    """End a worker and whatever it has started: its group, and children in groups of their own."""
    everything = [worker, *descendants(worker)]
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)
    for pid in everything:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """The processes below one, where the system tells (Linux); none elsewhere."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = status.read_text(encoding="utf-8").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    below, todo = [], list(children.get(pid, []))
    while todo:
        below.append(todo.pop())
        todo += children.get(below[-1], [])
    return below


def fork_context() -> BaseContext:
    if "fork" not in multiprocessing.get_all_start_methods():
        raise UserError("the grader runs each check in a fork: use Linux, macOS, or WSL on Windows")
    return multiprocessing.get_context("fork")


def ended(status: int | None, limit: float) -> Outcome:
    """What became of a process that ended without an answer."""
    if status == -signal.SIGXCPU:
        return Outcome("timeout", sentence=f"did not finish within {limit:.0f} seconds")
    return Outcome("died", sentence=f"ended the whole program (status {status})")


def work(function: Callable, sender: Connection, limit: float, tells: bool) -> None:
    """The life of the forked process."""
    os.setsid()  # a group of its own, that can be ended as one
    adopt_orphans()
    limit_time(limit)
    limit_memory()
    silence()
    printed = Kept()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            outcome = Outcome("ok", value=function(sender.send) if tells else function())
        except BaseException as error:  # also SystemExit and KeyboardInterrupt: it is not ours
            outcome = describe(error)
    outcome.printed = printed.text()
    sender.send(outcome)
    time.sleep(WAIT_LIMIT)  # the parent ends this process, while it still has its children


def adopt_orphans() -> None:
    """Make the kernel hand grandchildren whose parent has ended to this process (Linux)."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def more_time(seconds: float) -> None:
    """Called inside: this process may use so many seconds of processor time from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit_time(used.ru_utime + used.ru_stime + seconds)


def describe(error: BaseException) -> Outcome:
    """One sentence about an exception, with the line of the student's file it came from."""
    if type(error).__name__ == "Wrong":
        more = {"hint": getattr(error, "hint", ""), "mistake": getattr(error, "mistake", "")}
        return Outcome("raised", error="Wrong", sentence=str(error), **more)
    kind, text = type(error).__name__, told(error)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not is_library(f.filename)]
    file, line = (frames[-1].filename, frames[-1].lineno) if frames else ("", 0)
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        file, line, text = error.filename, error.lineno, f"{kind}: {error.msg}"
    where = f" ({Path(file).name}, line {line})" if file else ""
    drawn = getattr(error, "drawn", "")  # by a trial: see harness.py
    return Outcome("raised", error=kind, sentence=f"{drawn}raised {text}{where}", line=line)


def is_library(file: str) -> bool:
    """Whether a frame is the grader's, Python's or an installed package's, not the student's."""
    return file.startswith((str(Path(__file__).parent), sys.prefix, sys.base_prefix, "<"))


def limit_time(seconds: float) -> None:
    """A signal that Python does not catch ends the process; what it has used so far is nothing."""
    restrict(resource.RLIMIT_CPU, math.ceil(seconds))
    restrict(resource.RLIMIT_CORE, 0)  # without a file of what it had in memory


def limit_memory() -> None:
    """So that a list without end is a MemoryError, and not the end of the machine."""
    if sys.platform.startswith("linux"):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        restrict(resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY_LIMIT)


def restrict(kind: int, top: int) -> None:
    """Lower a limit of this process; a lower one that the machine has set stays."""
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (top if hard == resource.RLIM_INFINITY else min(top, hard), hard))


def silence() -> None:
    """What is printed past Python, by a library or another process, goes nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


class Kept(io.TextIOBase):
    """A file that remembers the first characters written to it and counts the rest."""

    def __init__(self):
        self.kept, self.length, self.full = "", 0, False

    def write(self, text: str) -> int:
        if self.full:
            return len(text)
        self.kept += text[: max(0, KEPT_OUTPUT - len(self.kept))]
        self.length += len(text)
        return len(text)

    def enough(self) -> None:
        """Keep no more, if there is something: the same would come again with every check."""
        self.full = self.length > 0

    def text(self) -> str:
        more = self.length - len(self.kept)
        return self.kept + (f"... and {more:,} characters more" if more else "")
