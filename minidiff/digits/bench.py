"""One epoch of the class model: this trainer against the way a course notebook does it."""

import time
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import to_tensor

from minidiff.digits.train import configure, device_name
from minidiff.digits.trainer import WARM_UP, Trainer, fresh_model
from minidiff.errors import UserError
from minidiff.mnist.checkpoint import RECIPES
from minidiff.mnist.data import Digits, load_digits
from minidiff.mnist.ddpm import class_ddpm_example, ddpm_schedule, squared_error, to_device

WORKERS = 4


class NotebookDataset(Dataset):
    """What torchvision's MNIST does for each picture: bytes to PIL, PIL to a tensor in [0, 1]."""

    def __init__(self, digits: Digits):
        self.images, self.labels = digits.images.numpy(), digits.labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return to_tensor(Image.fromarray(self.images[i])), self.labels[i]


def notebook_epoch(digits: Digits, device: torch.device, seed: int = 180) -> float:
    """Seconds for an epoch with a DataLoader, fp32, step by step, and .item() after each step."""
    recipe = RECIPES["class"]
    model = fresh_model(recipe, seed).to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.lr)
    schedule = to_device(ddpm_schedule(), device)

    def run(part: Digits) -> None:
        loader = DataLoader(NotebookDataset(part), recipe.batch, shuffle=True, num_workers=WORKERS)
        for x, c in loader:
            x, c = x.to(device), c.to(device)
            loss = squared_error(model, class_ddpm_example(schedule, x, c, recipe.p_uncond))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    run(digits[: 20 * recipe.batch])  # the first steps choose algorithms and allocate
    started = time.perf_counter()
    run(digits)
    return time.perf_counter() - started


def trainer_epoch(digits: Digits, device: torch.device, mode: str) -> tuple[float, float]:
    """(seconds for an epoch once it is under way, seconds of compiling and recording before)."""
    trainer = Trainer(RECIPES["class"], digits, 180, device, mode)
    recorded_in = WARM_UP if mode == "fast" else 1  # an epoch has one short batch, its last
    for _ in range(recorded_in + 1):
        trainer.run_epoch(lambda _: None)
    return trainer.epoch_seconds[-1], trainer.setup_seconds()


def main(*, device: str = "cuda:0", data_folder: Path | None = None) -> dict[str, float]:
    """Time both in one run on one GPU, print and return seconds. UserError without a GPU."""
    if not torch.cuda.is_available():
        raise UserError("the training benchmark needs an NVIDIA GPU, and torch sees none here")
    digits, device = load_digits("train", "mnist", data_folder), torch.device(device)
    configure(str(device), "plain")
    notebook = notebook_epoch(digits, device)
    plain, _ = trainer_epoch(digits, device, "plain")
    configure(str(device), "fast")
    fast, setup = trainer_epoch(digits, device, "fast")
    print(f"one epoch of the class model on {device_name(device)}, torch {torch.__version__}")
    print(f"  notebook way, {WORKERS} workers   {notebook:7.2f} s")
    print(f"  this trainer, plain        {plain:7.2f} s")
    print(f"  this trainer, fast         {fast:7.2f} s   {notebook / fast:.1f} times faster")
    print(f"  compiling and recording    {setup:7.2f} s   once per run")
    return {"notebook": notebook, "plain": plain, "fast": fast, "setup": setup}
