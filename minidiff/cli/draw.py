"""The verbs that draw: sample, edit, inpaint, anagram, hybrid. One PNG a picture, GIFs if asked.

Each verb makes a Job of the studio and says how its files are called; `write` does the rest.
"""

import math
import os
import re
import warnings
import zlib
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch
from tqdm import tqdm

from minidiff.errors import UserError
from minidiff.figures.grids import enlarge, picture, read_png_text, save_gif, save_png
from minidiff.io.devices import my_share, place_in_team
from minidiff.sampling import Step
from minidiff.stage2.cascade import recommended
from minidiff.stage2.upscaler import Upscaler, check_level
from minidiff.studio import Job, Studio, open_studio
from minidiff.views import View, find_view

TURN, PAUSE = 16, 8  # frames of a GIF that turn an anagram, and before
WALK = ("steps", "sampler", "spacing", "eta", "limit", "guidance")


@dataclass(frozen=True)
class Settings:
    """What all drawing verbs take from the command line: how to walk, and what to write."""

    seeds: list[int]
    negative: str
    out: str
    gif: bool = False
    scale: int = 4
    batch: int = 16
    steps: str | None = None
    sampler: str | None = None
    spacing: str | None = None
    eta: float | None = None
    limit: str | None = None
    guidance: float | None = None
    weights: str | None = None
    device: str | None = None
    dtype: torch.dtype | None = None
    embeddings: str | None = None
    compile: bool = False
    upscale: bool = False
    weights_2: str | None = None
    level: int | None = None
    steps_2: str | None = None

    def __post_init__(self):
        if self.guidance is not None and not math.isfinite(self.guidance):
            raise UserError(f"guidance must be a finite number, not {self.guidance}; 7 is usual")
        if self.batch < 1:
            raise UserError(f"a batch has at least 1 picture, not {self.batch}")
        if not 1 <= self.scale <= 32:
            raise UserError(f"pictures can be enlarged 1 to 32 times, not {self.scale}")
        if self.level is not None:
            check_level(self.level)

    @property
    def walk(self) -> dict:
        """What the studio's jobs take: how to step, and what to steer away from."""
        return {name: getattr(self, name) for name in WALK} | {"negative": self.negative}

    def open(self) -> Studio:
        return open_studio(
            self.weights, self.device, self.dtype, self.embeddings, self.compile, self.batch
        )


@dataclass(frozen=True)
class Name:
    """How the file of one picture is called, and what it tells besides seed and walk.

    view: through which the picture has a second reading, that gets a file too
    """

    kind: str
    prompt: str
    tells: dict
    view: View | None = None


# --- the verbs --------------------------------------------------------------------------------


def sample(prompts: list[str], **options) -> list[Path]:
    """A picture for every prompt and seed."""
    settings, studio = opened(options)
    prompts = list(dict.fromkeys(prompts))
    job = studio.drawing(prompts, settings.seeds, **settings.walk)
    names = [Name("sample", prompt, {}) for prompt, _ in product(prompts, settings.seeds)]
    return write(studio, settings, job, names, "drawing", prompts)


def edit(
    image: str,
    prompt: str,
    strength: list[float] | None = None,
    i_start: list[int] | None = None,
    **options,
) -> list[Path]:
    """SDEdit: the picture noised, then denoised towards the prompt, for every strength and seed."""
    check_order(prompt, image)
    if strength and i_start:
        raise UserError("--strength and --i-start say the same thing: give one of them")
    settings, studio = opened(options)
    begin = {"i_start": i_start, "strength": strength}
    job = studio.editing(image, prompt, settings.seeds, **begin, **settings.walk)
    stem = slug(Path(image).stem)
    names = [
        Name(f"edit-{stem}-from-{start}", prompt, {"image": Path(image).name, "i_start": start})
        for start in job.starts
    ]
    return write(studio, settings, job, names, "editing", image, prompt)


def inpaint(image: str, mask: str, prompt: str, invert: bool, **options) -> list[Path]:
    """The prompt where the mask is white, the picture elsewhere."""
    check_order(prompt, image, mask)
    settings, studio = opened(options)
    job = studio.inpainting(image, mask, prompt, settings.seeds, invert=invert, **settings.walk)
    kind = f"inpaint-{slug(Path(image).stem)}" + "-inverted" * invert
    tells = {"image": Path(image).name, "mask": Path(mask).name}
    tells |= {"invert": "yes"} if invert else {}
    names = [Name(kind, prompt, tells)] * len(job)
    what = (image, mask, prompt)
    return write(studio, settings, job, names, "inpainting", *what, invert=invert)


def anagram(prompt: str, turned: str, view: str, **options) -> list[Path]:
    """One prompt as the picture hangs, the other through a view, such as upside down."""
    seen = find_view(view)  # or fail before the model is read
    settings, studio = opened(options)
    job = studio.anagrams(prompt, turned, settings.seeds, view, **settings.walk)
    name = Name(f"anagram-{view}", f"{prompt} | {turned}", {"view": view}, seen)
    return write(studio, settings, job, [name] * len(job), "anagrams", prompt, turned, view=view)


def hybrid(far: str, near: str, **options) -> list[Path]:
    """One prompt seen from afar, another close up."""
    settings, studio = opened(options)
    job = studio.hybrids(far, near, settings.seeds, **settings.walk)
    names = [Name("hybrid", f"{far} | {near}", {})] * len(job)
    return write(studio, settings, job, names, "hybrids", far, near)


def upscale(image: str, prompt: str, **options) -> list[Path]:
    """Any picture, shrunk to the size of the first stage's, made large by the second."""
    check_order(prompt, image)
    settings, studio = opened(options, large=True)
    low = studio.picture(image).expand(len(settings.seeds), -1, -1, -1)
    name = Name(f"upscale-{slug(Path(image).stem)}", prompt, {"image": Path(image).name})
    settings = replace(settings, steps_2=settings.steps)
    how = {name: value for name, value in settings.walk.items() if name != "steps"}
    upscaler = second_stage(studio, settings)
    return enlarge_all(upscaler, settings, low, [name] * len(low), "drawing", [prompt], **how)


# --- what they share --------------------------------------------------------------------------


def check_order(prompt: str, image: str, *mask: str) -> None:
    """UserError where the prompt is a file and what shall be one is not: they are swapped."""

    def there(name: str) -> bool:  # also for texts that no file's name can be
        return os.path.isfile(os.path.expanduser(name))

    if there(prompt) and not all(map(there, (image, *mask))):
        order = "picture, mask, prompt" if mask else "picture, prompt"
        wrong = next(name for name in (image, *mask) if not there(name))
        raise UserError(
            f"the order is {order}: {prompt!r}, in the prompt's place, is a file, and {wrong!r} is"
            " none"
        )


def opened(options: dict, large: bool = False) -> tuple[Settings, Studio]:
    """large: whether a second stage works too; its options mean nothing without."""
    settings = Settings(**options)
    for name in ("level", "steps_2", "weights_2"):
        if getattr(settings, name) is not None and not (large or settings.upscale):
            option = name.replace("_", "-")
            raise UserError(f"--{option} is for the second stage: say --upscale, or leave it out")
    return settings, settings.open()


def write(
    studio: Studio, settings: Settings, job: Job, names: list[Name], kind: str, *what, **how
) -> list[Path]:
    """Walk the job's pictures, a batch at a time, into files.

    kind, what, how: the job's method and its arguments, which --upscale makes once more, large.
    """
    if settings.upscale:
        upscaler = second_stage(studio, settings)  # or fail before the work
        upscaler.plan(settings.steps_2 or recommended(upscaler.model.folder, kind).steps)
    else:
        studio.free_text_encoder()
    written, small = [], None
    Path(settings.out).mkdir(parents=True, exist_ok=True)  # or fail before the work
    for rows in my_batches(len(job), settings.batch):
        part = job.take(rows)
        steps = tqdm(studio.walk(part), total=part.steps, desc=f"{len(part)} pictures")
        frames = keep_frames(steps, all_of_them=settings.gif)
        small = torch.zeros(len(job), *frames[-1].shape[1:]) if small is None else small
        small[rows] = frames[-1]
        for row, (name, seed) in enumerate(zip([names[row] for row in rows], part.seeds)):
            tells = told(studio, settings, part, name, seed)
            film, stem = [frame[row] for frame in frames], stem_of(name, seed)
            written += save(film, stem, tells, settings, name.view)
    if settings.upscale and small is not None:
        how |= {"negative": settings.negative}
        first = {f"first {key}": value for key, value in walk_told(studio, job).items()}
        names = [replace(name, tells=name.tells | first) for name in names]
        written += enlarge_all(upscaler, settings, small, names, kind, *what, **how)
    return written


def second_stage(studio: Studio, settings: Settings) -> Upscaler:
    return Upscaler(studio, settings.weights_2)


def enlarge_all(
    upscaler: Upscaler,
    settings: Settings,
    small: torch.Tensor,
    names: list[Name],
    kind,
    *what,
    **how,
) -> list[Path]:
    """The second stage's walk over the pictures of the first, each a PNG of its own."""
    how |= {"steps": settings.steps_2, "level": settings.level}
    job = upscaler.enlarging(kind, small, *what, settings.seeds, **how)
    upscaler.first.free_text_encoder()
    written, plain = [], replace(settings, scale=1)
    Path(settings.out).mkdir(parents=True, exist_ok=True)
    for rows in my_batches(len(job), upscaler.batch):
        part = job.take(rows)
        steps = tqdm(upscaler.walk(part), total=part.steps, desc=f"{len(part)} enlarged")
        frames = keep_frames(steps, all_of_them=settings.gif)
        side = frames[-1].shape[-1]
        for row, (name, seed) in enumerate(zip([names[row] for row in rows], part.seeds)):
            tells = told(upscaler, settings, part, name, seed) | {"level": part.level}
            view = name.view and name.view.enlarged(side // small.shape[-1])
            film, stem = [frame[row] for frame in frames], f"{stem_of(name, seed)}-{side}"
            written += save(film, stem, tells, plain, view)
    return written


def keep_frames(steps, all_of_them: bool) -> list[torch.Tensor]:
    """The pictures (B, 3, H, W) at the start and after each step; or only the last ones."""
    frames: list[torch.Tensor] = []
    step: Step
    for step in steps:
        if all_of_them and not frames:
            frames = [step.x_t.cpu()]
        frames = [*frames, step.x.cpu()] if all_of_them else [step.x.cpu()]
    return frames


def told(studio: Studio, settings: Settings, job: Job, name: Name, seed: int) -> dict:
    """What the files say of a picture: enough to draw it, and the small one behind it, again."""
    tells = {"prompt": name.prompt, "seed": seed, **walk_told(studio, job), **name.tells}
    return tells | ({"negative": settings.negative} if settings.negative else {})


def walk_told(studio: Studio, job: Job) -> dict:
    return job.plan.tells | {"guidance": job.plan.guidance, "weights": studio.model.name}


def stem_of(name: Name, seed: int) -> str:
    return f"{name.kind}-{slug(name.prompt or 'no words')}-seed{seed}"


def save(
    film: list[torch.Tensor], stem: str, tells: dict, settings: Settings, view: View | None = None
) -> list[Path]:
    """The last picture (3, H, W) as a PNG, and all of them as a GIF if asked.

    view: the picture through it as a PNG too; the GIF then ends with the way from one to the other.
    """
    path, last = Path(settings.out) / f"{stem}.png", film[-1]
    note_replaced(path, tells)
    stills = {path: last}
    if view is not None:
        stills[path.with_stem(f"{stem}-turned")] = view.view(last[None])[0]
        film = [
            *film,
            *[last] * PAUSE,
            *(view.frame(last[None], s / TURN)[0] for s in range(TURN + 1)),
        ]
    written = [
        save_png(enlarge(picture(x), settings.scale), file, tells) for file, x in stills.items()
    ]
    if settings.gif:
        frames = [picture(x) for x in film]
        written.append(save_gif(frames, path.with_suffix(".gif"), tells, scale=settings.scale))
    return written


def note_replaced(path: Path, tells: dict) -> None:
    """Warn of a picture that goes, if it was drawn in another way: a name does not tell all."""
    if not path.is_file():
        return
    try:
        before = read_png_text(path)
    except (OSError, ValueError, SyntaxError):  # no picture of ours
        return
    now = {key: str(value) for key, value in tells.items()}
    other = [f"{key} {before[key]}" for key in now if before.get(key, now[key]) != now[key]]
    if other:
        warnings.warn(
            f"{path} is replaced, which was drawn with {', '.join(other)}: another --out keeps both"
        )


def my_batches(count: int, batch: int) -> list[list[int]]:
    """Which of `count` pictures this process draws, batch by batch.

    Alone it draws all. Under torchrun the batches go round among the processes, and are small
    enough that each process has work.
    """
    _, world = place_in_team()
    size = min(batch, math.ceil(count / world))
    batches = [list(range(n, min(n + size, count))) for n in range(0, count, size)]
    return my_share(batches, "pictures", len)


def slug(text: str) -> str:
    """A file name that tells the prompt; what it cannot tell, a checksum keeps apart."""
    words = "-".join(re.findall(r"[a-z0-9]+", text.lower()))[:60]
    exact = words.replace("-", " ") == text
    return words if exact else f"{words}-{zlib.crc32(text.encode('utf-8', 'replace')):08x}"
