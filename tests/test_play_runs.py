"""Changed code beside shipped code, in real sandboxes: what comes back to the page.

The UNet answers zeros here, so that a run takes a second; the pictures are noise all the same, and
differ where the equations do.
"""

import os
import time

import pytest
import torch

from minidiff.grade import sandbox
from minidiff.grade.scenes import NEUTRAL
from minidiff.io.shipped import shipped_texts
from minidiff.play import bench, remote, texts
from minidiff.play.tabs.trial import Trial

PROMPTS = ("a cat", "a red apple", "rocket", NEUTRAL, "")
MEAN = texts.Place("minidiff/equations.py", "posterior_mean")
pytestmark = pytest.mark.skipif(
    "fork" not in sandbox.multiprocessing.get_all_start_methods(), reason="runs are forks"
)


class Zeros:
    """Answers as a UNet that sees no noise anywhere."""

    def answer(self, message, pictures):
        assert all(0 <= row < len(PROMPTS) for row in message["rows"])
        n, _, h, w = pictures.shape
        return torch.zeros(n, 6, h, w).numpy().tobytes()


def run(
    code: str, scene="sample", exercises=(), place=MEAN, stopped=lambda: False, **more
) -> Trial:
    """Both sides of a run with this code in place of the function."""
    text, line = texts.with_piece(place, code)
    how = {"scene": scene, "prompts": PROMPTS, "seed": 180, "steps": 4} | more
    orders = {
        "shipped": bench.Order(dict(shipped_texts()), **how),
        "changed": bench.Order({place.file: text}, exercises=exercises, **how),
    }
    trial = Trial(place, line)
    for side, event in bench.run_together(orders, Zeros(), stopped):
        trial.hear(side, event)
    return trial


def body(lines: str) -> str:
    """The function with other lines."""
    return f"def posterior_mean(x_t, x0, abar, abar_prev):\n{lines}\n"


@pytest.fixture(scope="module")
def broken() -> Trial:
    return run(texts.with_mistake("mean-x0-no-root"), exercises=("posterior_mean",))


def test_the_changed_strip_differs_and_the_shipped_one_does_not(broken):
    sound = run(texts.shipped(MEAN))
    assert (sound.upper.pictures == sound.changed.pictures).all()
    assert (broken.upper.pictures == sound.upper.pictures).all()
    assert (broken.changed.pictures != sound.changed.pictures).any()
    assert sound.changed.losses == sound.upper.losses != broken.changed.losses


def test_the_grader_speaks_and_gives_its_hint(broken):
    (result,) = broken.results
    assert result["state"] == "failed" and result["mutation"] == "mean-x0-no-root"
    assert "Hint" in broken.verdict()


def test_both_sides_end_whole(broken):
    assert broken.upper.ended and broken.changed.ended and broken.shipped_whole()
    assert not broken.changed.error and "shipped" in broken.strips()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("    return x_t + undefined", "line 2"),
        ("    y = 1\n    raise ValueError('mine')", "mine (line 3)"),
        ("    return x_t[:, :2]", "raised RuntimeError"),
        ("    import os\n    os._exit(3)", "ended the whole program"),
        ("    raise SystemExit", "SystemExit"),
    ],
)
def test_an_error_is_a_sentence_with_its_line(lines, sentence):
    trial = run(body(lines))
    assert sentence in trial.state(), trial.state()
    assert trial.upper.done == 1 and not trial.upper.error  # the shipped side goes on


def test_an_endless_loop_ends_in_a_sentence():
    trial = run(body("    while True: pass"), cpu_limit=4)
    assert "did not finish within 4 seconds" in trial.state()


def test_values_that_are_not_numbers_are_named():
    trial = run(body("    return x_t * float('nan')"))
    assert "not numbers" in trial.state() and trial.changed.done == 1


def test_what_is_printed_is_shown():
    assert "hello from here" in run(body("    print('hello from here')\n    return x_t")).state()


def test_a_stopped_run_leaves_nothing_behind():
    began = time.monotonic()
    pids = []

    def stopped():
        pids.extend(child.pid for child in bench.multiprocessing.active_children())
        return time.monotonic() - began > 3

    trial = run(body("    while True: pass"), stopped=stopped)
    assert not trial.changed.ended and pids
    for pid in set(pids):
        with pytest.raises(OSError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    "sent", [b"", b"{}", b"[1]", b'{"kind": "x"}', b"\xff", b'{"kind": "x", "shape": [2]}']
)
def test_nonsense_from_the_sandbox_is_a_sentence(sent):
    ours, theirs = bench.multiprocessing.Pipe()
    theirs.send_bytes(sent)
    theirs.send_bytes(b"123")
    with pytest.raises(bench.UserError, match="strange"):
        remote.receive(ours)


def test_a_row_that_is_not_there_is_refused():
    class Model:
        device = torch.device("cpu")

    answerer = remote.Answerer.__new__(remote.Answerer)
    answerer.cond, answerer.studio = [None] * 2, type("Studio", (), {"model": Model})
    for row in (2, -1):
        with pytest.raises(bench.UserError, match="none"):
            answerer.answer({"rows": [row], "t": [0]}, torch.zeros(1, 3, 64, 64))
