"""One epoch of Part B's class models: this trainer against the way a course notebook does it.

Beside both the floor: what a step's convolutions take alone.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import to_tensor

from minidiff.digits.half import HALF, convolve, is_conv
from minidiff.digits.train import choose_mode, configure, device_name
from minidiff.digits.trainer import WARM_UP, Trainer
from minidiff.errors import UserError
from minidiff.mnist.checkpoint import RECIPES
from minidiff.mnist.data import Digits, load_digits
from minidiff.mnist.ddpm import squared_error

WORKERS = 4
MODELS = ("class", "flow-class")  # batch 128 and 64


class NotebookDataset(Dataset):
    """What torchvision's MNIST does for each picture: bytes to PIL, PIL to a tensor in [0, 1]."""

    def __init__(self, digits: Digits):
        self.images, self.labels = digits.images.numpy(), digits.labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return to_tensor(Image.fromarray(self.images[i])), self.labels[i]


def notebook_epoch(name: str, digits: Digits, device: torch.device, seed: int = 180) -> float:
    """Seconds for an epoch with a DataLoader, fp32, step by step, and .item() after each step."""
    trainer = Trainer(RECIPES[name], digits, seed, str(device), "plain")  # its model and examples
    recipe, model, optimizer = trainer.recipe, trainer.model.train(), trainer.optimizer

    def run(part: Digits) -> None:
        loader = DataLoader(NotebookDataset(part), recipe.batch, shuffle=True, num_workers=WORKERS)
        for x, c in loader:
            x, c = x.to(device), c.to(device)
            loss = squared_error(model, trainer.corrupt(x, c))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    run(digits[: 20 * recipe.batch])  # the first steps choose algorithms and allocate
    started = time.perf_counter()
    run(digits)
    return time.perf_counter() - started


def trainer_epoch(name: str, digits: Digits, device: torch.device) -> tuple[float, float]:
    """(seconds for an epoch once it is under way, seconds of compiling and recording before)."""
    trainer = Trainer(RECIPES[name], digits, 180, str(device), "fast")
    for _ in range(WARM_UP + 1):  # an epoch has one short batch, which is recorded, too
        trainer.run_epoch(lambda _: None)
    return trainer.epoch_seconds[-1], trainer.setup_seconds()


def convolutions_alone(name: str, digits: Digits, device: torch.device) -> float:
    """Seconds for an epoch's whole steps in which nothing but convolutions happens.

    Forward and both gradients in half precision and channels_last, recorded as a graph.
    """
    trainer = Trainer(RECIPES[name], digits, 180, str(device), "plain")
    shapes: list[tuple[nn.Module, torch.Size]] = []
    for conv in filter(is_conv, trainer.model.modules()):
        conv.register_forward_hook(lambda conv, given, _: shapes.append((conv, given[0].shape)))
    inputs, _ = trainer.example(torch.arange(trainer.recipe.batch, device=device))
    trainer.model(*inputs)
    last = torch.channels_last
    calls = []
    for conv, shape in shapes:
        x = torch.randn(shape, device=device).to(HALF, memory_format=last)
        kernel = conv.weight.detach().to(HALF, memory_format=last).requires_grad_()
        x.requires_grad_(shape != inputs[0].shape)  # the picture needs no gradient
        calls.append((conv, x, kernel, torch.randn_like(convolve(conv, x, kernel))))

    def step() -> None:
        for conv, x, kernel, gradient in calls:
            asked = [tensor for tensor in (x, kernel) if tensor.requires_grad]
            torch.autograd.grad(convolve(conv, x, kernel), asked, gradient)

    return per_replay(step) * (len(digits) // trainer.recipe.batch)


def per_replay(step: Callable[[], None], count: int = 50) -> float:
    """Seconds that a recorded step takes."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    graph.replay()
    first.record()
    for _ in range(count):
        graph.replay()
    last.record()
    last.synchronize()
    return first.elapsed_time(last) / count / 1000


def main(*, device: str = "cuda:0", data_folder: Path | None = None) -> dict[str, dict]:
    """Time all in one run on one GPU, print and return seconds. UserError without a GPU."""
    if not torch.cuda.is_available():
        raise UserError("the training benchmark needs an NVIDIA GPU, and torch sees none here")
    choose_mode("fast", device)  # or refuse
    digits, device = load_digits("train", "mnist", data_folder), torch.device(device)
    return {name: compare(name, digits, device) for name in MODELS}


def compare(name: str, digits: Digits, device: torch.device) -> dict[str, float]:
    configure(str(device), "plain")
    found = {"notebook": notebook_epoch(name, digits, device)}
    configure(str(device), "fast")
    found["ours"], found["setup"] = trainer_epoch(name, digits, device)
    found["floor"] = convolutions_alone(name, digits, device)
    times = {
        f"notebook way, {WORKERS} workers": found["notebook"],
        "this trainer": found["ours"],
        "its convolutions alone": found["floor"],
        "compiling and recording, once": found["setup"],
    }
    print(f"one epoch of {name} on {device_name(device)}, torch {torch.__version__}")
    for what, seconds in times.items():
        print(f"  {what:30} {seconds:7.2f} s")
    print(f"  {found['notebook'] / found['ours']:.1f} times faster than the notebook's way")
    return found
