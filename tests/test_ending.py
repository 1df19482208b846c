"""A signal ends a run wherever it comes, and not in the middle of an import."""

import gc
import importlib
import os
import signal
import sys
import threading
import time

import pytest

from minidiff.cli import ending, main
from minidiff.cli.ending import Ending
from minidiff.errors import UserError

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no timers")
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def heeded():
    """These tests may run in the background of a script, whose children ignore an interrupt."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def kill(number: int) -> None:
    os.kill(os.getpid(), number)


def wait(seconds: float = 5.0) -> None:
    """Long enough for a signal that is tried again; a sleep is broken off by what it raises."""
    time.sleep(seconds)


def run_verb(monkeypatch, work) -> int:
    """The exit status of a command that does this."""
    monkeypatch.setattr("minidiff.weights.check.check", lambda **_: work())
    return main(["weights", "check", "nowhere"])


def write_module(folder, monkeypatch, body: str) -> None:
    (folder / "slow_import.py").write_text(body)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "slow_import", raising=False)


@pytest.mark.parametrize("number", SIGNALS)
def test_an_import_is_let_finish_and_then_the_run_ends(tmp_path, monkeypatch, capsys, number):
    body = f"import os\nos.kill(os.getpid(), {int(number)})\nfinished = sum(range(10**5))\n"
    write_module(tmp_path, monkeypatch, body)
    after = []

    def work():
        after.append(importlib.import_module("slow_import").finished)
        wait()
        after.append("went on")

    assert run_verb(monkeypatch, work) == 128 + number
    assert after == [sum(range(10**5))]
    assert ("interrupted" in capsys.readouterr().err) == (number == signal.SIGINT)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_that_ends_before_the_signal_is_tried_again_says_so(tmp_path, monkeypatch, number):
    body = f"import os\nos.kill(os.getpid(), {int(number)})\nsum(range(1000))\n"
    write_module(tmp_path, monkeypatch, body)
    assert run_verb(monkeypatch, lambda: importlib.import_module("slow_import")) == 128 + number
    wait(3 * ending.AGAIN)  # nothing comes afterwards


def test_an_import_that_does_not_end_is_broken_off(tmp_path, monkeypatch):
    monkeypatch.setattr(ending, "AGAIN", 0.01)
    monkeypatch.setattr(ending, "PATIENCE", 3)
    body = "import os, time\nos.kill(os.getpid(), 15)\ntime.sleep(60)\n"
    write_module(tmp_path, monkeypatch, body)
    begun = time.monotonic()
    assert run_verb(monkeypatch, lambda: importlib.import_module("slow_import")) == 143
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("number", SIGNALS)
def test_what_a_destructor_swallows_is_raised_again(monkeypatch, capsys, number):
    class Fragile:
        def __del__(self):
            kill(number)
            sum(range(1000))  # the handler runs in here

    def work():
        Fragile()
        gc.collect()
        wait()

    assert run_verb(monkeypatch, work) == 128 + number
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("other", [ValueError("no shape"), UserError("damaged; delete it")])
def test_another_exception_in_its_place_is_still_its_doing(monkeypatch, capsys, other):
    def work():
        try:
            kill(signal.SIGTERM)
            wait()
        except SystemExit:
            raise other from None

    assert run_verb(monkeypatch, work) == 143
    assert capsys.readouterr().err == ""


def test_other_errors_are_what_they_were(monkeypatch, capsys):
    def work():
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        run_verb(monkeypatch, work)


def test_handlers_and_hooks_are_given_back():
    before = [signal.getsignal(n) for n in (*SIGNALS, signal.SIGALRM)], sys.unraisablehook
    with Ending():
        assert signal.getsignal(signal.SIGTERM) != before[0][1]
    assert ([signal.getsignal(n) for n in (*SIGNALS, signal.SIGALRM)], sys.unraisablehook) == before


def test_a_signal_that_is_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Ending() as run:
        kill(signal.SIGINT)
        wait(0.01)
    assert run.status is None


def test_in_another_thread_nothing_is_touched():
    seen = []

    def work():
        before = signal.getsignal(signal.SIGTERM), sys.unraisablehook
        with Ending():
            seen.append((signal.getsignal(signal.SIGTERM), sys.unraisablehook) == before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]
