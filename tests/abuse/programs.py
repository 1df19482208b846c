"""What test_kills.py starts and disturbs: the command line, in forks of a warm process.

Importing torch takes longer than the work: multiprocessing's fork server does it once.
"""

import os
import resource
import signal
import sys
from multiprocessing import get_context
from pathlib import Path

import torch
from mnist_tiny import tiny_recipe

from minidiff.cli import main
from minidiff.digits import samples, train
from minidiff.mnist.data import shipped_digits

SECTIONS = ("1.1", "1.4")  # of Part A: pictures, a GIF, pages

context = get_context("forkserver")
parts = ["minidiff.figures.part_a", "minidiff.weights.pull", "huggingface_hub.file_download"]
context.set_forkserver_preload(["programs", *parts])


def start(program, *arguments, log: Path, largest: int | None = None):
    """A process that runs program(*arguments) and writes what it says to a file.

    largest  bytes beyond which the system lets it write no file: another way to fill a disk
    """
    ready = context.Event()  # a signal that comes earlier meets multiprocessing, not the program
    process = context.Process(
        target=run, args=(program, arguments, log, largest, ready), daemon=True
    )
    process.start()
    assert ready.wait(60)
    return process


def run(program, arguments: tuple, log: Path, largest: int | None, ready) -> None:
    torch.set_num_threads(1)
    sys.stdout = sys.stderr = open(log, "a", buffering=1)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    try:
        # in the background of a script, whose children ignore it, an interrupt is heeded, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
        ready.set()
        status = program(*arguments)
    except KeyboardInterrupt:  # between two calls of main()
        status = 130
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)


def draw(folder: Path, weights: Path) -> int:
    common = ("--weights", str(weights), "--device", "cpu", "--out", str(folder))
    return max(main(["part-a", "--only", section, *common]) for section in SECTIONS)


def learn(folder: Path) -> int:
    """Six epochs of the class model, made small."""
    train.RECIPES["class"] = tiny_recipe("class")
    train.load_digits = lambda *_: shipped_digits()[:100]
    samples.SAMPLE_EPOCHS["class"] = ()
    common = ("--device", "cpu", "--mode", "plain", "--out", str(folder))
    return main(["train-mnist", "--models", "class", "--epochs", "6", *common])


def pull(folder: Path, endpoint: str, token: str) -> int:
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    os.environ.update({"HF_ENDPOINT": endpoint, "HF_TOKEN": token, **quiet})
    return main(["weights", "pull", "IF-I-M", "--text-encoder", "--to", str(folder / "IF-I-M")])
