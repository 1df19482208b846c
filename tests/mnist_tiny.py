"""A small version of Part B's training that takes a second: the recipes on 100 digits, D = 4."""

from dataclasses import replace

from minidiff.digits.trainer import Trainer
from minidiff.mnist.checkpoint import RECIPES, Recipe
from minidiff.mnist.data import shipped_digits

# What a child process runs: `python -c CHILD run-folder`.
CHILD = """
import sys
from pathlib import Path
import torch
from minidiff.digits import samples, train
from mnist_tiny import tiny_trainer
torch.set_num_threads(1)
samples.SAMPLE_EPOCHS["class"] = ()
train.train(tiny_trainer("class"), Path(sys.argv[1]), 6)
"""


def tiny_recipe(name: str, **changes) -> Recipe:
    return replace(RECIPES[name], **{"num_hiddens": 4, "batch": 40, **changes})


def tiny_trainer(name: str, **changes) -> Trainer:
    return Trainer(tiny_recipe(name, **changes), shipped_digits()[:100], 180, "cpu", "plain")
