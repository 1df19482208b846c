"""Which device to compute on, and which share of the work torchrun gives this process."""

import os
import warnings
from pathlib import Path

import torch

from minidiff.errors import UserError

TEAM = ("RANK", "WORLD_SIZE")


def place_in_team() -> tuple[int, int]:
    """(rank, world size) as torchrun tells them; (0, 1) for a process that is alone.

    UserError where only one of the two variables is set: it is a leftover of something else.
    """
    given = [name for name in TEAM if os.environ.get(name, "").strip()]
    if not given:
        return 0, 1
    if len(given) == 1:
        absent = next(name for name in TEAM if name not in given)
        raise UserError(
            f"{given[0]}={os.environ[given[0]]} is set and {absent} is not: torchrun sets both to"
            f" share work among processes; `unset {given[0]}` to draw alone"
        )
    rank, world = (number_of(name) for name in TEAM)
    if not 0 <= rank < world:
        raise UserError(f"RANK={rank} with WORLD_SIZE={world}: torchrun sets both, or unset them")
    return rank, world


def my_share(jobs: list, what: str, size=lambda job: 1) -> list:
    """Every `world size`-th job, as torchrun's RANK and WORLD_SIZE say; a note tells the share.

    what, size: how the note counts jobs, for example "pictures" and len for batches of them
    """
    rank, world = place_in_team()
    mine = jobs[rank::world]
    if world > 1:
        warnings.warn(
            f"process {rank + 1} of {world} (RANK={rank}, WORLD_SIZE={world}) does"
            f" {sum(map(size, mine))} of {sum(map(size, jobs))} {what}; `unset RANK WORLD_SIZE` to"
            " do all of it here"
        )
    return mine


def number_of(variable: str) -> int:
    text = os.environ[variable].strip()
    if not (text.isascii() and text.isdecimal()):
        raise UserError(f"the variable {variable} must be a whole number, not {text!r}")
    return int(text)


def pick_device(name: str | torch.device | None = None) -> torch.device:
    """The device asked for, else the best there is. UserError for one that is not there."""
    if name is None:
        if torch.cuda.is_available():
            use_own_gpu()
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        reason = reason if len(reason) <= 120 else f"{reason[:120].rpartition(' ')[0]} ..."
        raise UserError(f"device {str(name)!r} cannot be used ({reason}); try cpu") from error
    if device.type not in ("cuda", "mps", "cpu"):
        raise UserError(f"device {str(name)!r} is not cuda, mps or cpu")
    return device


def use_own_gpu() -> None:
    """Under torchrun a GPU for each process. A LOCAL_RANK that was left over alone is not read."""
    if place_in_team()[1] == 1 or "LOCAL_RANK" not in os.environ:
        return
    number, there = number_of("LOCAL_RANK"), torch.cuda.device_count()
    if number >= there:
        raise UserError(f"LOCAL_RANK={number}, and there are {there} GPUs: start fewer processes")
    torch.cuda.set_device(number)


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device; on the CPU, what programs could get without swapping. None
    where the system does not say (Windows)."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        known = hasattr(os, "sysconf")
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else None
