"""What the environment of a host (a notebook, a cluster, a shell's profile) may not decide.

A command reads few variables, README lists them. Those here break libraries that it imports, or
silence what it says, and are put aside.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# matplotlib fails to be imported when MPLBACKEND names a window system that is not installed, as a
# notebook's kernel sets it; figures here are only ever written to files. tqdm reads its defaults
# from TQDM_..., and fails on what it cannot read.
BACKEND = "MPLBACKEND"
HARMFUL = ("MATPLOTLIBRC", "TQDM_")
QUIET = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def settle() -> None:
    """For a process of our own: no library reads what was meant for another program's."""
    os.environ[BACKEND] = "agg"
    for name in list(os.environ):
        if name.startswith(HARMFUL):
            del os.environ[name]


def import_matplotlib():
    """matplotlib, also where MPLBACKEND names what is not installed; a good one stays in force."""
    named = os.environ.pop(BACKEND, None)
    try:
        import matplotlib
    finally:
        if named is not None:
            os.environ[BACKEND] = named
    return matplotlib


@contextmanager
def notes(say) -> Iterator[None]:
    """Within it a warning is a line for the user, said once, whatever PYTHONWARNINGS asks."""
    said: set[str] = set()

    def show(message, *_, **__) -> None:
        if str(message) not in said:
            said.add(str(message))
            say(f"note: {message}")

    with warnings.catch_warnings():
        warnings.resetwarnings()
        for kind in QUIET:
            warnings.simplefilter("ignore", kind)
        warnings.showwarning = show
        yield
