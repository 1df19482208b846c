"""Which device to compute on, and which share of the work torchrun gives this process."""

import os

import torch

from minidiff.errors import UserError


def place_in_team() -> tuple[int, int]:
    """(rank, world size) as torchrun tells them; (0, 1) for a process that is alone."""
    rank, world = number_of("RANK", 0), number_of("WORLD_SIZE", 1)
    if not 0 <= rank < world:
        raise UserError(f"RANK={rank} with WORLD_SIZE={world}: torchrun sets both, or unset them")
    return rank, world


def number_of(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdecimal():
        raise UserError(f"the variable {variable} must be a whole number, not {text!r}")
    return int(text)


def pick_device(name: str | torch.device | None = None) -> torch.device:
    """The device asked for, else the best there is. UserError for one that is not there."""
    if name is None:
        if torch.cuda.is_available():
            if "LOCAL_RANK" in os.environ:  # torchrun: a device for each process
                torch.cuda.set_device(number_of("LOCAL_RANK", 0))
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:120]
        raise UserError(f"device {str(name)!r} cannot be used ({reason}); try cpu") from error
    if device.type not in ("cuda", "mps", "cpu"):
        raise UserError(f"device {str(name)!r} is not cuda, mps or cpu")
    return device
