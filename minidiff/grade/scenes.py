"""Small scenes that show a mistake: each draws one strip of pictures with the package around it.

    python -m minidiff.grade.scenes NAME FILE.png

Run in a folder that holds a minidiff, it draws with that one: gallery.py does so with copies.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from minidiff.equations import dynamic_threshold, forward_process, x0_from_eps
from minidiff.figures.grids import draw_grid, enlarge, picture, save_png
from minidiff.guidance import CFG, Anagram, Guidance, Hybrid
from minidiff.io.paths import ROOT
from minidiff.io.pictures import read_mask, read_picture
from minidiff.mnist.checkpoint import load_model
from minidiff.mnist.ddpm import class_walk, ddpm_schedule, time_walk
from minidiff.mnist.ddpm import last as last_digits
from minidiff.model import load
from minidiff.noise import SeededNoise
from minidiff.sampling import denoise, keep_outside, last, noised_start
from minidiff.schedule import course_pairs, leading_timesteps, pipeline_pairs
from minidiff.views import FlipUpDown, Rotate, View

SEED, LEVELS, STARTS = 180, (250, 500, 750), [1, 5, 10, 20]
INPUTS = ROOT / "minidiff" / "figures" / "inputs"
PROMPTS = ["a cat", "a red apple", "rocket"]
Strip = tuple[Sequence[Tensor], Sequence[str]]  # pictures (C, H, W) in [-1, 1], and captions


class Demo:
    """The demo checkpoint and what the scenes ask of it."""

    def __init__(self, *prompts: str):
        self.model = load(device="cpu")
        self.conds = self.model.unet.prepare(self.model.encode([*prompts, ""]))

    def rows(self, index: int, count: int = 1):
        return self.conds.take([index] * count)

    def guided(self, count: int) -> CFG:
        """Guidance 7 for `count` pictures: the first prompts, one each."""
        return CFG(self.conds.take(list(range(count))), self.rows(-1, count), 7.0)

    def walk(self, x: Tensor, guidance: Guidance, noise: SeededNoise, **settings) -> Tensor:
        pairs = settings.pop("pairs", None) or course_pairs()
        model = self.model
        return last(denoise(model.unet, model.schedule, x, pairs, guidance, noise, **settings))


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
    demo, x0 = Demo("a high quality photo"), tower()
    t = torch.tensor(LEVELS)
    abar = demo.model.schedule.abar(t, like=x0)
    noise = SeededNoise([SEED]).draw()
    x_t = abar**0.5 * x0 + (1 - abar) ** 0.5 * noise
    eps = demo.model.unet(x_t, t, demo.rows(0, len(LEVELS)))[:, :3]
    return list(x0_from_eps(x_t, eps, abar)), [f"from t = {t}" for t in LEVELS]


def sample() -> Strip:
    """Three prompts along the course's walk, guidance 7."""
    noise = SeededNoise([SEED] * len(PROMPTS))
    demo = Demo(*PROMPTS)
    return list(demo.walk(noise.draw(), demo.guided(len(PROMPTS)), noise)), PROMPTS


def pipeline() -> Strip:
    """The same along the official pipeline's walk of 25 steps, with its threshold."""
    noise, demo = SeededNoise([SEED] * len(PROMPTS)), Demo(*PROMPTS)
    limits = {"ratio": demo.model.threshold_ratio, "max_value": demo.model.threshold_max}
    settings = {
        "pairs": pipeline_pairs(leading_timesteps(25)),
        "threshold": partial(dynamic_threshold, **limits),
    }
    drawn = demo.walk(noise.draw(), demo.guided(len(PROMPTS)), noise, **settings)
    return list(drawn), PROMPTS


def sdedit() -> Strip:
    """The tower, started from four indices, towards a neutral prompt."""
    noise, demo = SeededNoise([SEED] * len(STARTS)), Demo(*["a high quality photo"] * len(STARTS))
    x0 = tower().expand(len(STARTS), -1, -1, -1)
    x = noised_start(x0, course_pairs(), STARTS, demo.model.schedule, noise)
    drawn = demo.walk(x, demo.guided(len(STARTS)), noise, start=STARTS)
    return list(drawn), [f"i_start {i}" for i in STARTS]


def inpaint() -> Strip:
    """The tower with a new top."""
    noise, demo, x0 = SeededNoise([SEED]), Demo("rocket"), tower()
    mask = read_mask(INPUTS / "tower-mask.png", picture=INPUTS / "tower.png")
    keep = keep_outside(x0, mask, demo.model.schedule, noise)
    drawn = demo.walk(noise.draw(), demo.guided(1), noise, after_step=keep)
    return [x0[0], mask[0].expand(3, -1, -1) * 2 - 1, drawn[0]], ["original", "mask", "inpainted"]


def anagram() -> Strip:
    """Two prompts, by a flip and by a quarter turn, each picture as it hangs and as turned."""
    demo = Demo("a cat", "rocket")
    strip, captions = [], []
    for view in (FlipUpDown(), Rotate(90)):
        noise = SeededNoise([SEED])
        conds, views = (demo.rows(0), demo.rows(1)), (View(), view)
        drawn = demo.walk(noise.draw(), Anagram(conds, demo.rows(-1), views, 7.0), noise)
        strip += [drawn[0], drawn[0].flip(-2) if view.name == "flip" else drawn[0].rot90(1, (1, 2))]
        captions += [view.name, "turned"]
    return strip, captions


def hybrid() -> Strip:
    """Two prompts by frequencies: the picture, and its low frequencies only."""
    demo, noise = Demo("a cat", "pizza"), SeededNoise([SEED])
    guidance = Hybrid(demo.rows(0), demo.rows(1), demo.rows(-1), 7.0)
    drawn = demo.walk(noise.draw(), guidance, noise)[0]
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
