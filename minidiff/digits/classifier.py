"""A small digit reader, trained on real MNIST: the judge of what the class model draws.

Its 128 features before the last layer are also what the distance between two sets of digits is
measured on.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

from minidiff.errors import UserError
from minidiff.io.files import save_atomically
from minidiff.mnist.checkpoint import read_safetensors, to_stored
from minidiff.mnist.data import WEIGHTS, Digits, to_unit
from minidiff.mnist.unet import Conv

FILE = WEIGHTS / "classifier.safetensors"
BATCH, EPOCHS, HIGHEST_LR, SHIFT = 256, 8, 4e-3, 2


class Classifier(nn.Module):
    """(N, 1, 28, 28) in [0, 1] to a score per digit, (N, 10)."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            *(Conv(1, 32), Conv(32, 64), nn.MaxPool2d(2)),  # 14x14
            *(Conv(64, 128), nn.MaxPool2d(2)),  # 7x7
            Conv(128, 128),
        )
        self.head = nn.Linear(128, 10)

    def features(self, x: Tensor) -> Tensor:
        """(N, 128): the last feature maps, each by its mean over the picture."""
        return self.body(x).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def train_classifier(
    digits: Digits, device: str, seed: int = 180, epochs: int = EPOCHS
) -> Classifier:
    """Train on these digits, each batch shifted by up to two pixels; returns it in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier().to(device).train()
    digits, generator = digits.to(device), torch.Generator().manual_seed(seed)
    batches = -(-len(digits) // BATCH)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, HIGHEST_LR, epochs * batches)
    for _ in range(epochs):
        for rows in torch.randperm(len(digits), generator=generator).to(device).split(BATCH):
            shift = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=generator).tolist()
            x = to_unit(digits.images[rows]).roll(shift, dims=(2, 3))  # the border is empty paper
            loss = F.cross_entropy(model(x), digits.labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def read(model: Classifier, x: Tensor, batch: int = 1000) -> tuple[Tensor, Tensor]:
    """The digits that the classifier sees in x, (N,), and the features they have, (N, 128)."""
    device = model.head.weight.device
    features = torch.cat([model.features(part.to(device)) for part in x.split(batch)])
    return model.head(features).argmax(dim=1), features


def accuracy(model: Classifier, digits: Digits) -> float:
    """The share of these digits that are read right."""
    seen, _ = read(model, digits.pictures())
    return float((seen.cpu() == digits.labels.cpu()).float().mean())


def save_classifier(model: Classifier, path: Path) -> Path:
    tensors = {key: to_stored(value) for key, value in model.state_dict().items()}
    blob = save(tensors)
    return save_atomically(path, lambda file: file.write(blob))


def load_classifier(path: Path = FILE, device: torch.device | str = "cpu") -> Classifier:
    """The trained classifier in fp32 and eval mode. UserError for a file of another kind."""
    model = Classifier()
    try:
        model.load_state_dict(read_safetensors(path)[0])
    except RuntimeError as error:
        raise UserError(f"{path} does not hold Part B's classifier: restore it") from error
    return model.eval().to(device)
