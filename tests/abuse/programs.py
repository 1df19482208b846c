"""The programs that test_kills.py starts and kills. Run in processes forked from a warm one."""

import os
import sys
from multiprocessing import get_context
from pathlib import Path

import torch
from mnist_tiny import tiny_trainer

from minidiff.figures import part_a
from minidiff.mnist import samples, train
from minidiff.weights.pull import pull as pull_weights

SECTIONS = ("1.1", "1.2", "1.3", "1.4")  # of Part A: a dozen files in a second or two

# Importing torch takes longer than the work: the fork server does it once.
context = get_context("forkserver")
context.set_forkserver_preload(["programs"])


def start(program, *arguments):
    """A process that runs program(*arguments), silently."""
    process = context.Process(target=quietly, args=(program, *arguments), daemon=True)
    process.start()
    return process


def quietly(program, *arguments) -> None:
    torch.set_num_threads(1)
    sys.stdout = sys.stderr = open(os.devnull, "w")
    sys.exit(program(*arguments))


def draw(weights: Path, folder: Path) -> None:
    for section in SECTIONS:
        part_a.main(weights=weights, out=folder, only=section, device="cpu")


def learn(folder: Path) -> None:
    samples.SAMPLE_EPOCHS["class"] = ()
    train.train(tiny_trainer("class"), folder, 6)


def pull(folder: Path, endpoint: str, token: str) -> None:
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    os.environ.update({"HF_ENDPOINT": endpoint, "HF_TOKEN": token, **quiet})
    pull_weights("IF-I-M", text_encoder=True, to=str(folder))
