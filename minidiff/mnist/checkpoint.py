"""The recipes of Part B, and reading and writing what they train as safetensors."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from minidiff.errors import UserError
from minidiff.io.files import save_atomically
from minidiff.io.paths import expanded
from minidiff.mnist import flow
from minidiff.mnist.unet import ClassConditionalUNet, TimeConditionalUNet, UnconditionalUNet


@dataclass(frozen=True)
class Recipe:
    """How the course trains one of its models: Adam on squared error, a new noise every time."""

    name: str
    num_hiddens: int  # D
    batch: int
    epochs: int
    lr: float
    lr_decay: float  # the learning rate's factor per epoch
    sigma: float = 0.5  # of the denoiser's noise
    p_uncond: float = 0.1  # how often the class model is not told the digit
    task: str = ""  # a key of NETWORKS, if the name is not one
    whole_decay: bool = False  # shorter and longer runs make the same decay, faster or slower

    @property
    def kind(self) -> str:
        """What the model is trained for: a key of NETWORKS."""
        return self.task or self.name

    @property
    def answers(self) -> str:
        """What the UNet answers with."""
        if self.kind.startswith("flow"):
            return "velocity"
        return "noise" if self.kind in ("time", "class") else "clean picture"

    def build(self) -> nn.Module:
        """The UNet with fresh weights from torch's global generator."""
        return NETWORKS[self.kind](in_channels=1, num_hiddens=self.num_hiddens)


NETWORKS = {
    "denoiser": UnconditionalUNet,
    "time": TimeConditionalUNet,
    "class": ClassConditionalUNet,
    "pure-noise": UnconditionalUNet,
    "flow-time": flow.TimeConditionalUNet,
    "flow-class": ClassConditionalUNet,
}

FLOW = {"num_hiddens": 64, "batch": 64, "epochs": 10, "lr": 1e-2, "lr_decay": 0.1 ** (1 / 10)}
SAVE_AS = (
    "load your state dict into a UNet of minidiff/mnist/unet.py and save that with"
    " minidiff.mnist.checkpoint.save_model(unet, path, RECIPES['time'], {}), or 'denoiser', 'class'"
)
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("denoiser", num_hiddens=128, batch=256, epochs=5, lr=1e-4, lr_decay=1.0),
        Recipe("time", num_hiddens=64, batch=128, epochs=20, lr=1e-3, lr_decay=0.1 ** (1 / 20)),
        Recipe("class", num_hiddens=64, batch=128, epochs=20, lr=1e-3, lr_decay=0.1 ** (1 / 20)),
        # since spring 2025
        Recipe(
            "pure-noise",
            num_hiddens=128,
            batch=256,
            epochs=5,
            lr=1e-4,
            lr_decay=1.0,
            whole_decay=True,  # so that it may run for a part of an epoch, which is enough
        ),
        Recipe("flow-time", **FLOW, whole_decay=True),
        Recipe("flow-class", **FLOW, whole_decay=True),
        # our answer to "keep the quality without a scheduler"
        Recipe(
            "flow-class-constant",
            **(FLOW | {"lr": 1e-3, "lr_decay": 1.0}),
            whole_decay=True,
            task="flow-class",
        ),
    )
}
EDITIONS = {  # the models that each edition's report shows
    "fa24": ("denoiser", "time", "class"),
    "fa25": ("denoiser", "flow-time", "flow-class"),
}


def save_model(model: nn.Module, path: Path, recipe: Recipe, facts: dict[str, object]) -> Path:
    """Write the weights with the recipe and `facts` (seed, epochs, loss, ...) as metadata.

    Kernels and matrices are stored in fp16; vectors (biases, BatchNorm's statistics) stay fp32,
    because small variances would lose their digits and weigh nothing.
    """
    tensors = {key: to_stored(value) for key, value in model.state_dict().items()}
    metadata = {"recipe": json.dumps(asdict(recipe)), **{k: str(v) for k, v in facts.items()}}
    blob = save(tensors, metadata)
    return save_atomically(path, lambda file: file.write(blob))


def to_stored(value: Tensor) -> Tensor:
    half = value.is_floating_point() and value.ndim > 1
    return value.detach().cpu().to(torch.float16 if half else value.dtype).contiguous()


def load_model(path: str | Path, device: torch.device | str = "cpu") -> nn.Module:
    """A trained UNet in fp32 and eval mode. Raises UserError for a missing or foreign file."""
    path = expanded(path)
    tensors, metadata = read_safetensors(path)
    if "recipe" not in metadata:
        raise UserError(
            f"{path} does not hold one of Part B's models as they are saved here, with a recipe:"
            f" {SAVE_AS}"
        )
    try:
        recipe = Recipe(**json.loads(metadata["recipe"]))
        model = recipe.build()
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path} does not hold one of Part B's models ({str(error)[:200]}); "
            "restore it from the repository or train it with `make train-mnist`"
        ) from error
    model.answers = recipe.answers  # for check_answers of ddpm.py
    return model.eval().to(device)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors and the metadata of a file."""
    if not path.is_file():
        raise UserError(f"there is no {path}; train the models of Part B with `make train-mnist`")
    with open(path, "rb") as file:
        start = file.read(9)
    if start.startswith((b"PK\x03\x04", b"\x80")) and start[8:9] != b"{":
        raise UserError(
            f"{path} is a pickled file (torch.save), and Part B's models are read from safetensors:"
            f" {SAVE_AS}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            tensors, metadata = {k: file.get_tensor(k) for k in file.keys()}, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is no whole safetensors file ({error}); fetch it again") from error
    if wrong := [key for key, x in tensors.items() if not bool(x.isfinite().all())]:
        raise UserError(
            f"{path} is damaged: {wrong[0]} has NaN or infinite values; restore it from the"
            " repository"
        )
    return tensors, metadata
