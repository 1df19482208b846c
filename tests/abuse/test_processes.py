"""The same as a user meets it: real processes, their exit status and all that they print."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_checkpoint import write_tiny_checkpoint

from minidiff.io.paths import ROOT

UNET_FILE = "tiny/unet/diffusion_pytorch_model.fp16.safetensors"
PROGRAM = [sys.executable, "-m", "minidiff"]
DRAW = ["--weights", "tiny", "--device", "cpu"]
SAMPLE = ["sample", "a cat", *DRAW, "--steps", "2"]


@pytest.fixture
def here(tmp_path):
    write_tiny_checkpoint(tmp_path / "tiny")
    return tmp_path


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """A process that heeds an interrupt, also where these tests run in the background of a script,
    whose shell lets its children ignore it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def cut(folder: Path) -> None:
    path = folder / UNET_FILE
    path.write_bytes(path.read_bytes()[:5000])


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("caught",)


def plant(folder: Path) -> None:
    torch.save({"a cat": Malicious()}, folder / "bad.pth")


@pytest.mark.parametrize(
    ("spoil", "arguments"),
    [
        (cut, SAMPLE),
        (cut, ["weights", "check", "tiny"]),
        (plant, [*SAMPLE, "--embeddings", "bad.pth"]),
        (lambda _: None, [*SAMPLE, "--steps", "1001"]),
    ],
)
def test_bad_input_is_one_sentence(here, spoil, arguments):
    spoil(here)
    process = start(here, *arguments)
    _, err = process.communicate()
    assert process.returncode == 2
    assert err.startswith("minidiff: ")
    assert len(err.splitlines()) == 1
    assert not list(here.glob("out/*"))
    assert not (here / "caught").exists()


@pytest.mark.parametrize(
    ("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_kill_in_the_middle_of_part_a(here, sent, status):
    process = start(here, "part-a", *DRAW)
    while not list(here.glob("out/part-a/1.3*.png")):  # most of the report is still to come
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(sent)
    _, err = process.communicate()
    assert process.returncode == status
    assert "Traceback" not in err
    assert ("interrupted" in err) == (sent == signal.SIGINT)
    parts = list(here.rglob("*.part"))
    assert parts == [] or sent == signal.SIGKILL
