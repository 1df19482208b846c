"""Weights and inputs made from their names, so that committed references need not contain them.

The numbers come from numpy's legacy generator, whose uniform stream is promised never to change
and involves no rounding that a platform could do differently.
"""

import zlib

import numpy as np
import torch
from torch import Tensor, nn


def values(name: str, shape: tuple[int, ...]) -> Tensor:
    """Numbers of mean 0 and variance 1, uniform, float32; the same name gives the same numbers."""
    uniform = np.random.RandomState(zlib.crc32(name.encode())).random_sample(shape)
    return torch.from_numpy((uniform * 2 - 1) * 3**0.5).float()


@torch.no_grad()
def fill(module: nn.Module) -> nn.Module:
    """Give every parameter the values of its name, at a size that keeps activations near 1.

    Norm weights lie around 1, biases and norm shifts are not zero: whoever swaps or forgets one
    gets another result.
    """
    for name, parameter in module.named_parameters():
        drawn = values(name, tuple(parameter.shape))
        if parameter.ndim >= 2:
            drawn *= parameter[0].numel() ** -0.5
        else:
            drawn = 0.2 * drawn + (1.0 if "norm" in name and name.endswith("weight") else 0.0)
        parameter.copy_(drawn)
    return module.eval()


def unet_inputs(config: dict, batch: int = 2, size: tuple[int, int] = (16, 24)) -> dict:
    """x (B, 3, H, W), another t for every picture, text (B, 77, encoder_hid_dim).

    For stage II x has 6 channels, and there is a level (B,).
    """
    t = torch.tensor([999, 0, 417, 30])[:batch]
    level = torch.tensor([250, 999, 0, 30])[:batch]
    return ({"level": level} if "class_embed_type" in config else {}) | {
        "x": values("x", (batch, config["in_channels"], *size)),
        "t": t,
        "text": values("text", (batch, 77, config["encoder_hid_dim"])),
    }


def t5_inputs(config: dict) -> dict:
    """ids and mask (5, 77): prompts of 1, 2, 20, 76 and 77 tokens."""
    lengths = torch.tensor([1, 2, 20, 76, 77])
    ids = (values("ids", (5, 77)).abs() * 1e6).long() % config["vocab_size"]
    mask = (torch.arange(77) < lengths[:, None]).long()
    return {"ids": ids * mask, "mask": mask}


def step_inputs(t: int) -> dict:
    """x_t, the UNet's answer (eps and v) and the noise of a step: (2, 3 or 6, 4, 4).

    v goes a little beyond [-1, 1] now and then, as a network's does.
    """
    return {
        "x": values(f"x {t}", (2, 3, 4, 4)),
        "answer": values(f"answer {t}", (2, 6, 4, 4)) * 0.7,
        "noise": values(f"noise {t}", (2, 3, 4, 4)),
    }


def sampler_answer(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
    """A made-up model: eps half right, as a network's would be, and v, both of x's dtype.

    eps has the numbers of float32 in either dtype, so that only the steps differ.
    """
    eps, v = step_inputs(t)["answer"].chunk(2, dim=1)
    return (0.7 * x.float() + eps).to(x.dtype), v.to(x.dtype)
