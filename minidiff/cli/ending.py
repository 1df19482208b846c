"""Ctrl-C and SIGTERM, so that they always end a run, tidily, with a status that tells of it.

Python raises for a signal wherever its main thread happens to be, and not every place can bear it.
An import that is broken off may take the whole process down (Triton's aborts it); what is raised in
a destructor is printed and forgotten; and an exception that passes through C++ may come out as
another one. So an import is let finish, what was forgotten is raised again, and whatever ends a run
after a signal counts as the signal's doing.
"""

import signal
import sys
import threading
from types import FrameType

AGAIN = 0.05  # seconds until a signal that came at a bad moment is tried again
PATIENCE = 40  # times; an import that takes longer than that is broken off


class Ending:
    """A context. `status` is None until a signal has come, then the exit status, 128 + its number.

    Only in a main thread, and only for signals that nobody else handles: a program that was told to
    ignore them, as those in the background of a script are, goes on ignoring them.
    """

    def __init__(self):
        self.status: int | None = None
        self.waits = hasattr(signal, "setitimer")  # Windows has none: there it raises at once
        self.waiting, self.patience = False, PATIENCE  # for a better moment; tries left

    def __enter__(self) -> "Ending":
        self.before, self.hook = {}, sys.unraisablehook
        if threading.current_thread() is threading.main_thread():
            sys.unraisablehook = self.forgotten
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    self.before[number] = signal.signal(number, self.arrived)
        return self

    def __exit__(self, *_) -> None:
        self.stop_trying()
        if sys.unraisablehook == self.forgotten:
            sys.unraisablehook = self.hook
        for number, handler in self.before.items():
            signal.signal(number, handler)

    @property
    def pending(self) -> int | None:
        """The exit status of a signal that still waits, although the work is done."""
        return self.status if self.waiting else None

    def arrived(self, number: int, frame: FrameType | None) -> None:
        self.status = 128 + number
        self.end(number, frame)

    def end(self, _: int, frame: FrameType | None) -> None:
        """Raise now, or a little later if it would do harm."""
        self.waiting = self.waits and self.patience > 0 and is_importing(frame)
        if self.waiting:
            self.patience -= 1
            self.try_again()
        elif self.status == 128 + signal.SIGINT:
            raise KeyboardInterrupt
        elif self.status is not None:
            sys.exit(self.status)

    def try_again(self) -> None:
        self.before.setdefault(signal.SIGALRM, signal.signal(signal.SIGALRM, self.end))
        signal.setitimer(signal.ITIMER_REAL, AGAIN)

    def stop_trying(self) -> None:
        if self.waits and signal.SIGALRM in self.before:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def forgotten(self, what) -> None:
        """Python calls this with what a destructor or a callback raised and nobody can catch."""
        ours = isinstance(what.exc_value, (KeyboardInterrupt, SystemExit))
        if ours and self.status is not None and self.waits:
            self.waiting = True
            self.try_again()
        else:
            self.hook(what)


def is_importing(frame: FrameType | None) -> bool:
    """Whether an import is under way in this frame or above it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
