"""Small scenes that show a mistake: each draws one strip of pictures with the package around it.

    python -m minidiff.grade.scenes NAME FILE.png

Run in a folder that holds a minidiff, it draws with that one: gallery.py does so with copies. A
scene is a generator, which gives the strip as it stands after every step: the page of `make play`
shows it growing.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from minidiff.equations import forward_process, x0_from_eps
from minidiff.figures.grids import draw_grid, enlarge, picture, save_png
from minidiff.io.paths import ROOT
from minidiff.io.pictures import read_picture
from minidiff.mnist.checkpoint import load_model
from minidiff.mnist.data import shipped_digits
from minidiff.mnist.ddpm import (
    class_ddpm_example,
    class_walk,
    ddpm_example,
    ddpm_schedule,
    squared_error,
    time_walk,
)
from minidiff.model import load
from minidiff.noise import SeededNoise
from minidiff.studio import Job, Studio

LEVELS, STARTS = (250, 500, 750), (1, 5, 10, 20)
INPUTS = ROOT / "minidiff" / "figures" / "inputs"
TOWER, MASK = INPUTS / "tower.png", INPUTS / "tower-mask.png"
NEUTRAL = "a high quality photo"
COURSE_STEPS = 33  # of the walk that STARTS counts in


@dataclass(frozen=True)
class Strip:
    """Pictures (C, H, W) in [-1, 1], what stands under them, and the share of the work done."""

    pictures: Sequence[Tensor]
    captions: Sequence[str] = ()
    done: float = 1.0


@dataclass(frozen=True)
class Stage:
    """What scenes are drawn with: by default the demo on a CPU, along the course's walk.

    open_studio   gives the studio, when a scene first needs it
    prompts       three of them; the first two serve where a scene has two
    steps         of Part A's walks: a number, or "course"
    """

    open_studio: Callable[[], Studio] = lambda: Studio(load(device="cpu"))
    prompts: Sequence[str] = ("a cat", "a red apple", "rocket")
    seed: int = 180
    steps: int | str = "course"
    guidance: float = 7.0

    @cached_property
    def studio(self) -> Studio:
        return self.open_studio()

    @property
    def how(self) -> dict:
        """The course's step equation, in so many steps. In fewer than the course's own, estimates
        are clipped: unlimited, they leave the range of pictures, and sound code looks broken."""
        few = self.steps != "course" and self.steps < COURSE_STEPS
        limit = "clip" if few else None
        return {
            "steps": self.steps,
            "sampler": "course",
            "guidance": self.guidance,
            "limit": limit,
        }

    @property
    def noise(self) -> Tensor:
        return SeededNoise([self.seed]).draw()

    def walk(self, job: Job, captions: Sequence[str], before: Sequence[Tensor] = ()):
        """The strip of a job's pictures after each of its steps, with others in front of them."""
        for count, step in enumerate(self.studio.walk(job), start=1):
            yield Strip([*before, *step.x], captions, count / job.steps)

    def tower_at(self, starts: Sequence[int]) -> Job:
        """The tower, edited towards a neutral prompt from these indices of the course's list."""
        length = len(self.studio.plan(**self.how))
        begin = [round(start * length / COURSE_STEPS) for start in starts]
        return self.studio.editing(TOWER, NEUTRAL, self.seed, i_start=begin, **self.how)


Scene = Callable[[Stage], Iterator[Strip]]


def forward(stage: Stage) -> Iterator[Strip]:
    """The tower at three levels of noise."""
    schedule, x0 = stage.studio.model.schedule, read_picture(TOWER)
    noisy = [forward_process(x0, schedule.abar(t, like=x0), stage.noise)[0] for t in LEVELS]
    yield Strip(noisy, [f"t = {t}" for t in LEVELS])


def onestep(stage: Stage) -> Iterator[Strip]:
    """Clean pictures, estimated in one step from those levels."""
    studio, x0, t = stage.studio, read_picture(TOWER), torch.tensor(LEVELS)
    abar = studio.model.schedule.abar(t, like=x0)
    x_t = abar**0.5 * x0 + (1 - abar) ** 0.5 * stage.noise
    yield Strip(list(look_once(studio, x_t, t)), [f"from t = {t}" for t in LEVELS])


def look_once(studio: Studio, x_t: Tensor, t: Tensor) -> Tensor:
    """The clean pictures behind x_t, by one call of the UNet."""
    eps = studio.model.fast_unet(x_t, t, studio.cond([NEUTRAL] * len(x_t)))[:, :3]
    return x0_from_eps(x_t, eps, studio.model.schedule.abar(t, like=x_t))


def sample(stage: Stage) -> Iterator[Strip]:
    """The prompts along the walk of the step equation, A.3."""
    job = stage.studio.drawing(list(stage.prompts), stage.seed, **stage.how)
    yield from stage.walk(job, stage.prompts)


def pipeline(stage: Stage) -> Iterator[Strip]:
    """The same along the official pipeline's walk, with its threshold."""
    steps = 25 if stage.steps == "course" else stage.steps
    how = {"steps": steps, "sampler": "course", "spacing": "leading", "limit": "threshold"}
    job = stage.studio.drawing(list(stage.prompts), stage.seed, guidance=stage.guidance, **how)
    yield from stage.walk(job, stage.prompts)


def sdedit(stage: Stage) -> Iterator[Strip]:
    """The tower, started from four indices, towards a neutral prompt."""
    yield from stage.walk(stage.tower_at(STARTS), [f"i_start {i}" for i in STARTS])


def inpaint(stage: Stage) -> Iterator[Strip]:
    """The tower with a new top."""
    job = stage.studio.inpainting(TOWER, MASK, stage.prompts[-1], stage.seed, **stage.how)
    before = [read_picture(TOWER)[0], job.mask[0].cpu().expand(3, -1, -1) * 2 - 1]
    yield from stage.walk(job, ["original", "mask", "inpainted"], before)


def anagram(stage: Stage) -> Iterator[Strip]:
    """Two prompts, by a flip and by a quarter turn, each picture as it hangs and as turned."""
    names = ("flip", "rotate90")
    captions = [caption for name in names for caption in (name, "turned")]
    ends: list[Tensor] = []
    for count, name in enumerate(names):
        job = stage.studio.anagrams(
            stage.prompts[0], stage.prompts[-1], stage.seed, name, **stage.how
        )
        for strip in stage.walk(job, captions):
            now = strip.pictures[0]
            turned = now.flip(-2) if name == "flip" else now.rot90(1, (1, 2))
            yield Strip([*ends, now, turned], captions, (count + strip.done) / len(names))
        ends += [now, turned]


def hybrid(stage: Stage) -> Iterator[Strip]:
    """Two prompts by frequencies: the picture, and its low frequencies only."""
    job = stage.studio.hybrids(stage.prompts[0], stage.prompts[1], stage.seed, **stage.how)
    for strip in stage.walk(job, ()):
        small = torch.nn.functional.avg_pool2d(strip.pictures[0][None], 4)
        afar = torch.nn.functional.interpolate(small, scale_factor=4, mode="bicubic")[0]
        yield Strip([strip.pictures[0], afar], ["close up", "from afar"], strip.done)


def digits(stage: Stage) -> Iterator[Strip]:
    """Samples of the time-conditioned model of Part B."""
    walk = time_walk(mnist("time"), ddpm_schedule(), eight_seeds(stage))
    yield from digit_strips(walk, ())


def class_digits(stage: Stage) -> Iterator[Strip]:
    """The digits 0 to 7 at guidance 5."""
    walk = class_walk(mnist("class"), ddpm_schedule(), torch.arange(8), eight_seeds(stage))
    yield from digit_strips(walk, [str(i) for i in range(8)])


def digit_strips(walk: Iterator[Tensor], captions: Sequence[str]) -> Iterator[Strip]:
    length = len(ddpm_schedule()["betas"])
    for count, x in enumerate(walk):  # the first is the noise it begins with
        yield Strip(list(x * 2 - 1), captions, min(count / length, 1.0))


def mnist(name: str) -> torch.nn.Module:
    return load_model(ROOT / "weights" / "mnist" / f"{name}.safetensors")


def eight_seeds(stage: Stage) -> list[int]:
    return list(range(stage.seed, stage.seed + 8))


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        forward, onestep, sample, pipeline, sdedit, inpaint, anagram, hybrid, digits, class_digits,
    )
}  # fmt: skip
DIGITS = ("digits", "class_digits")


# --- numbers: the error on the course's test picture, or on the shipped digits --------------------


def picture_losses(stage: Stage) -> dict[str, float]:
    """Mean squared errors of the tower, noised and denoised again: in one step, and by a walk."""
    studio, x0, t = stage.studio, read_picture(TOWER), torch.tensor(LEVELS)
    x_t = forward_process(x0, studio.model.schedule.abar(t, like=x0), stage.noise)
    errors = (look_once(studio, x_t, t) - x0).square().mean(dim=(1, 2, 3)).tolist()
    losses = {f"one step from t = {level}": error for level, error in zip(LEVELS, errors)}
    job = stage.tower_at([10])
    for step in studio.walk(job):
        end = step.x
    walked = (end.cpu() - x0).square().mean().item()
    return losses | {f"the walk from t = {job.plan.pairs[job.starts[0]][0]}": walked}


def digit_losses(stage: Stage) -> dict[str, float]:
    """What the models of Part B are trained to make small, on the digits that ship."""
    pictures = shipped_digits()[list(range(64))]
    x, c = pictures.pictures(), pictures.labels
    schedule = ddpm_schedule()
    generator = torch.Generator()
    time = ddpm_example(schedule, x, generator.manual_seed(stage.seed))
    named = class_ddpm_example(schedule, x, c, 0.1, generator.manual_seed(stage.seed))
    return {
        "time-conditioned": squared_error(mnist("time"), time).item(),
        "class-conditioned": squared_error(mnist("class"), named).item(),
    }


def losses(scene: str, stage: Stage) -> dict[str, float]:
    """The numbers that go with a scene."""
    with torch.no_grad():
        return digit_losses(stage) if scene in DIGITS else picture_losses(stage)


def main(name: str, path: str) -> None:
    """Draw a scene into a file. What is not a number is drawn black, as a viewer shows it."""
    with torch.no_grad():
        for strip in SCENES[name](Stage()):
            last = strip
    scale = 2 if last.pictures[0].shape[-1] > 32 else 3
    tiles = [enlarge(picture(x.nan_to_num(-1, 1, -1)), scale) for x in last.pictures]
    captions = [last.captions] if last.captions else []
    save_png(draw_grid([tiles], captions=captions), path, {"scene": name})


if __name__ == "__main__":
    main(*sys.argv[1:])
