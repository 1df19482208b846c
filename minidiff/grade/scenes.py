"""Small scenes that show a mistake: each draws one strip of pictures with the package around it.

    python -m minidiff.grade.scenes NAME FILE.png

Run in a folder that holds a minidiff, it draws with that one: gallery.py does so with copies.
"""

import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from minidiff.equations import forward_process, x0_from_eps
from minidiff.figures.grids import draw_grid, enlarge, picture, save_png
from minidiff.guidance import Anagram, Guidance, Hybrid
from minidiff.io.paths import ROOT
from minidiff.io.pictures import read_mask, read_picture
from minidiff.mnist.checkpoint import load_model
from minidiff.mnist.ddpm import class_walk, ddpm_schedule, time_walk
from minidiff.mnist.ddpm import last as last_digits
from minidiff.model import load
from minidiff.noise import SeededNoise
from minidiff.sampling import last
from minidiff.studio import SEED, Studio, open_studio
from minidiff.views import FlipUpDown, Rotate, View

LEVELS, STARTS, SCALE = (250, 500, 750), [1, 5, 10, 20], 7.0
NEUTRAL = "a high quality photo"
INPUTS = ROOT / "minidiff" / "figures" / "inputs"
PROMPTS = ["a cat", "a red apple", "rocket"]
Strip = tuple[Sequence[Tensor], Sequence[str]]  # pictures (C, H, W) in [-1, 1], and captions


def demo() -> Studio:
    """The demo checkpoint at work."""
    return open_studio(device="cpu")


def walked(studio: Studio, guidance: Guidance, seeds: list[int], **how) -> list[Tensor]:
    """Where the walk of these seeds ends, along the course's timesteps unless a plan is given."""
    return list(last(studio.walk(studio.job(guidance, seeds, **how))))


def tower() -> Tensor:
    return read_picture(INPUTS / "tower.png")


def forward() -> Strip:
    """The tower at three levels of noise."""
    schedule, x0 = load(device="cpu").schedule, tower()
    noise = SeededNoise([SEED]).draw()
    noisy = [forward_process(x0, schedule.abar(t, like=x0), noise)[0] for t in LEVELS]
    return noisy, [f"t = {t}" for t in LEVELS]


def onestep() -> Strip:
    """Clean pictures, estimated in one step from those levels."""
    studio, x0 = demo(), tower()
    t = torch.tensor(LEVELS)
    abar = studio.model.schedule.abar(t, like=x0)
    noise = SeededNoise([SEED]).draw()
    x_t = abar**0.5 * x0 + (1 - abar) ** 0.5 * noise
    eps = studio.model.unet(x_t, t, studio.cond([NEUTRAL] * len(LEVELS)))[:, :3]
    return list(x0_from_eps(x_t, eps, abar)), [f"from t = {t}" for t in LEVELS]


def sample() -> Strip:
    """Three prompts along the course's walk, guidance 7."""
    studio = demo()
    return walked(studio, studio.cfg(PROMPTS, SCALE), [SEED] * len(PROMPTS)), PROMPTS


def pipeline() -> Strip:
    """The same along the official pipeline's walk of 25 steps, with its threshold."""
    studio = demo()
    plan = studio.plan(25, sampler="ddpm", limit="threshold")
    guidance = studio.cfg(PROMPTS, SCALE)
    return walked(studio, guidance, [SEED] * len(PROMPTS), plan=plan), PROMPTS


def sdedit() -> Strip:
    """The tower, started from four indices, towards a neutral prompt."""
    studio, n = demo(), len(STARTS)
    guidance = studio.cfg([NEUTRAL] * n, SCALE)
    drawn = walked(studio, guidance, [SEED] * n, starts=STARTS, original=tower())
    return drawn, [f"i_start {i}" for i in STARTS]


def inpaint() -> Strip:
    """The tower with a new top."""
    studio, x0 = demo(), tower()
    mask = read_mask(INPUTS / "tower-mask.png", picture=INPUTS / "tower.png")
    guidance = studio.cfg(["rocket"], SCALE)
    drawn = walked(studio, guidance, [SEED], original=x0, mask=mask)
    return [x0[0], mask[0].expand(3, -1, -1) * 2 - 1, drawn[0]], ["original", "mask", "inpainted"]


def anagram() -> Strip:
    """Two prompts, by a flip and by a quarter turn, each picture as it hangs and as turned."""
    studio = demo()
    strip, captions = [], []
    for view in (FlipUpDown(), Rotate(90)):
        conds = (studio.cond(["a cat"]), studio.cond(["rocket"]))
        guidance = Anagram(conds, studio.cond([""]), (View(), view), SCALE)
        drawn = walked(studio, guidance, [SEED])
        strip += [drawn[0], drawn[0].flip(-2) if view.name == "flip" else drawn[0].rot90(1, (1, 2))]
        captions += [view.name, "turned"]
    return strip, captions


def hybrid() -> Strip:
    """Two prompts by frequencies: the picture, and its low frequencies only."""
    studio = demo()
    guidance = Hybrid(*(studio.cond([text]) for text in ("a cat", "pizza", "")), SCALE)
    drawn = walked(studio, guidance, [SEED])[0]
    small = torch.nn.functional.avg_pool2d(drawn[None], 4)
    afar = torch.nn.functional.interpolate(small, scale_factor=4, mode="bicubic")[0]
    return [drawn, afar], ["close up", "from afar"]


def digits() -> Strip:
    """Samples of the time-conditioned model of Part B."""
    unet = load_model(ROOT / "weights/mnist/time.safetensors")
    drawn = last_digits(time_walk(unet, ddpm_schedule(), list(range(SEED, SEED + 8))))
    return [x * 2 - 1 for x in drawn], []


def class_digits() -> Strip:
    """The digits 0 to 7 at guidance 5."""
    unet = load_model(ROOT / "weights/mnist/class.safetensors")
    seeds = list(range(SEED, SEED + 8))
    drawn = last_digits(class_walk(unet, ddpm_schedule(), torch.arange(8), seeds))
    return [x * 2 - 1 for x in drawn], [str(i) for i in range(8)]


SCENES: dict[str, Callable[[], Strip]] = {
    scene.__name__: scene
    for scene in (
        forward, onestep, sample, pipeline, sdedit, inpaint, anagram, hybrid, digits, class_digits,
    )
}  # fmt: skip


def main(name: str, path: str) -> None:
    """Draw a scene into a file. What is not a number is drawn black, as a viewer shows it."""
    with torch.no_grad():
        pictures, captions = SCENES[name]()
    scale = 2 if pictures[0].shape[-1] > 32 else 3
    tiles = [enlarge(picture(x.nan_to_num(-1, 1, -1)), scale) for x in pictures]
    save_png(draw_grid([tiles], captions=[captions] if captions else []), path, {"scene": name})


if __name__ == "__main__":
    main(*sys.argv[1:])
