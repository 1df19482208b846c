"""Noise schedules and the timesteps a sampler visits.

A schedule is one float64 tensor, abar[t]. A walk through it is a list of pairs (t, t_prev), made
once and then only read: computing "the previous timestep" inside a loop is how strides go wrong.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from minidiff.errors import UserError
from minidiff.io.inputs import whole_numbers

Pairs = list[tuple[int, int]]
EXACT = {"dtype": torch.float64, "device": "cpu"}  # whatever torch's defaults are set to


@dataclass(frozen=True)
class Schedule:
    """betas and abar = cumprod(1 - betas), float64 on the CPU, one entry per timestep 0..T-1."""

    betas: Tensor

    def __post_init__(self):
        object.__setattr__(self, "abars", torch.cumprod(1 - self.betas.double(), dim=0))

    def __len__(self) -> int:
        return len(self.betas)

    def abar(self, t: int | Tensor, like: Tensor) -> Tensor:
        """abar at t, shaped to multiply pictures: (1, 1, 1, 1) for a number, (B, 1, 1, 1) for (B,).

        t = -1 stands for "before the first step" and gives 1, the clean picture. The result has
        the dtype and device of `like`.
        """
        check_floating(like)
        t = torch.tensor(whole_numbers(t, "a timestep"), device="cpu")
        if not bool(((t >= -1) & (t < len(self))).all()):
            raise UserError(f"timestep {t.tolist()} is outside -1..{len(self) - 1}")
        abars = self.abars[t].masked_fill(t < 0, 1.0)
        return abars.to(like.dtype).to(like.device)[:, None, None, None]


def check_floating(x: Tensor) -> None:
    if not (isinstance(x, Tensor) and x.is_floating_point()):
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise UserError(f"a picture of {kind} cannot be noised: make it float32 in [-1, 1]")


def cosine_schedule(num_timesteps: int = 1000, max_beta: float = 0.999) -> Schedule:
    """DeepFloyd IF's schedule, squaredcos_cap_v2.  IDDPM eq. 17 (arXiv 2102.09672)."""

    def abar(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    steps = [(i / num_timesteps, (i + 1) / num_timesteps) for i in range(num_timesteps)]
    betas = [min(1 - abar(end) / abar(start), max_beta) for start, end in steps]
    return Schedule(torch.tensor(betas, **EXACT))


def linear_schedule(first: float = 1e-4, last: float = 0.02, num_timesteps: int = 300) -> Schedule:
    """Part B's schedule: betas evenly spaced, both ends included.  DDPM section 4."""
    return Schedule(torch.linspace(first, last, num_timesteps, **EXACT))


# --- walks: lists of (t, t_prev) -------------------------------------------------------------

# The original release's named walks, each timestep of 999..0 it stops at.
NAMED_TIMESTEPS = {
    "fast27": (
        "999 800 799 600 599 500 400 399 377 355 333 311 288 266 244 222 200 199 177 155 133 111 "
        "88 66 44 22 0"
    ),
    "smart27": (
        "999 976 952 928 905 882 858 857 810 762 715 714 572 429 428 286 285 238 190 143 142 118 "
        "95 71 47 24 0"
    ),
    "smart50": (
        "999 988 977 966 955 944 933 922 911 900 899 879 859 840 820 800 799 766 733 700 699 650 "
        "600 599 500 499 400 399 350 300 299 266 233 200 199 179 159 140 120 100 99 88 77 66 55 "
        "44 33 22 11 0"
    ),
    "smart100": (
        "999 995 992 989 985 981 978 975 971 967 964 961 957 956 951 947 942 937 933 928 923 919 "
        "914 913 908 903 897 892 887 881 876 871 870 864 858 852 846 840 834 828 827 820 813 806 "
        "799 792 785 784 777 770 763 756 749 742 741 733 724 716 707 699 698 688 677 666 656 655 "
        "645 634 623 613 612 598 584 570 569 555 541 527 526 505 484 483 462 440 439 396 395 352 "
        "351 308 307 264 263 220 219 176 132 88 44 0"
    ),
    "smart185": (
        "999 997 995 992 990 988 986 984 981 979 977 975 972 970 968 966 964 961 959 957 956 954 "
        "951 949 946 944 941 939 936 934 931 929 926 924 921 919 916 914 913 910 907 905 902 899 "
        "896 893 891 888 885 882 879 877 874 871 870 867 864 861 858 855 852 849 846 843 840 837 "
        "834 831 828 827 824 821 817 814 811 808 804 801 798 795 791 788 785 784 780 777 774 770 "
        "766 763 760 756 752 749 746 742 741 737 733 730 726 722 718 714 710 707 703 699 698 694 "
        "690 685 681 677 673 669 664 660 656 655 650 646 641 636 632 627 622 618 613 612 607 602 "
        "596 591 586 580 575 570 569 563 557 551 545 539 533 527 526 519 512 505 498 491 484 483 "
        "474 466 457 449 440 439 428 418 407 396 395 381 366 352 351 330 308 307 286 264 263 242 "
        "220 219 176 175 132 131 88 44 0"
    ),
    "super27": (
        "999 991 982 974 966 958 950 941 933 925 916 908 900 899 874 850 825 800 799 700 600 500 "
        "400 300 200 100 0"
    ),
    "super40": (
        "999 992 985 978 971 964 957 949 942 935 928 921 914 907 900 899 879 859 840 820 800 799 "
        "766 733 700 699 650 600 599 500 499 400 399 300 299 200 199 100 99 0"
    ),
    "super100": (
        "999 996 992 989 985 982 979 975 972 968 965 961 958 955 951 948 944 941 938 934 931 927 "
        "924 920 917 914 910 907 903 900 899 891 884 876 869 861 853 846 838 830 823 815 808 800 "
        "799 788 777 766 755 744 733 722 711 700 699 688 677 666 655 644 633 622 611 600 599 585 "
        "571 557 542 528 514 500 499 485 471 457 442 428 414 400 399 379 359 340 320 300 299 279 "
        "259 240 220 200 199 166 133 100 99 66 33 0"
    ),
}


def named_timesteps(name: str) -> list[int]:
    """One of the original release's lists, for example "fast27"; use with `pipeline_pairs`."""
    if name not in NAMED_TIMESTEPS:
        raise UserError(
            f"no timestep list is called {name!r}: give a number of steps, or course, or one of"
            f" {', '.join(NAMED_TIMESTEPS)}"
        )
    return [int(t) for t in NAMED_TIMESTEPS[name].split()]


def strided_timesteps(start: int = 990, stride: int = 30) -> list[int]:
    """The course's list: 990, 960, ..., 30, 0 (section 1.4)."""
    return list(range(start, -1, -stride))


def course_pairs(timesteps: list[int] | None = None) -> Pairs:
    """(990, 960), ..., (30, 0): the course's 33 transitions. The walk ends *at* t = 0."""
    timesteps = strided_timesteps() if timesteps is None else timesteps
    timesteps = whole_numbers(timesteps, "timesteps")
    check_timesteps(timesteps)
    return list(zip(timesteps[:-1], timesteps[1:]))


def pipeline_pairs(timesteps: list[int]) -> Pairs:
    """The official pipeline's walk over such a list: one more step, from the last t to x0."""
    timesteps = whole_numbers(timesteps, "timesteps")
    check_timesteps(timesteps)
    return list(zip(timesteps, [*timesteps[1:], -1]))


def leading_timesteps(num_steps: int, num_timesteps: int = 1000) -> list[int]:
    """The official pipeline's default spacing, 'leading': (n-1) r, ..., r, 0 with r = T // n."""
    check_steps(num_steps, num_timesteps)
    stride = num_timesteps // num_steps
    return [i * stride for i in reversed(range(num_steps))]


def trailing_timesteps(num_steps: int, num_timesteps: int = 1000) -> list[int]:
    """'trailing': counted down from the end, T - 1 first, the last one r - 1 with r = T / n.

    For some n, such as 61, the reference lists one timestep more, -1; it is left out here.
    """
    check_steps(num_steps, num_timesteps)
    stride = (num_timesteps - num_timesteps / num_steps) - num_timesteps  # rounded as NumPy does
    return [round(num_timesteps + i * stride) - 1 for i in range(num_steps)]


def linspace_timesteps(num_steps: int, num_timesteps: int = 1000) -> list[int]:
    """'linspace': n timesteps from 999 to 0, both ends included. One step is at 0."""
    check_steps(num_steps, num_timesteps)
    stride = (num_timesteps - 1) / max(num_steps - 1, 1)
    return [round(i * stride) for i in reversed(range(num_steps))]


SPACINGS = {
    "leading": leading_timesteps,
    "trailing": trailing_timesteps,
    "linspace": linspace_timesteps,
}


def spaced_timesteps(num_steps: int, spacing: str = "leading") -> list[int]:
    """n timesteps for `pipeline_pairs`, spaced as DDPMScheduler and DDIMScheduler define it."""
    if spacing not in SPACINGS:
        raise UserError(f"no spacing is called {spacing!r}; known: {', '.join(SPACINGS)}")
    return SPACINGS[spacing](num_steps)


def even_timesteps(num_steps: int, start: int = 990) -> list[int]:
    """n + 1 timesteps from `start` to 0 for `course_pairs`: its walk in any number of steps.

    33 steps are the course's own list. It begins where no picture is left to be seen, and not at
    999, where x0 is divided by sqrt(abar) = 1/20,000.
    """
    check_steps(num_steps, start)
    return [round(start * i / num_steps) for i in reversed(range(num_steps + 1))]


def check_steps(num_steps: int, most: int) -> None:
    """UserError unless so many steps fit."""
    if not 1 <= num_steps <= most:
        raise UserError(f"steps must be 1 to {most}, not {num_steps}")


def check_timesteps(timesteps: list[int], num_timesteps: int = 1000) -> None:
    """Raise UserError unless the list falls strictly and stays inside 0..T-1."""
    falling = all(a > b for a, b in zip(timesteps[:-1], timesteps[1:]))
    if not timesteps or not falling or not 0 <= min(timesteps) <= max(timesteps) < num_timesteps:
        raise UserError(
            f"timesteps must fall from at most {num_timesteps - 1} to at least 0 without repeats;"
            f" got {timesteps[:4]}...{timesteps[-2:]} ({len(timesteps)} entries)"
        )
