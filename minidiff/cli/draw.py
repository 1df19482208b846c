"""The verbs that draw: sample, edit, inpaint, anagram, hybrid. One PNG a picture, GIFs if asked.

Each verb says which prompts and which guidance; everything else they share:

    open the checkpoint, read the inputs, encode all prompts, free the text encoder
    walk the pictures down in batches, write the files
"""

import math
import re
import zlib
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from minidiff.deepfloyd.unet import Cond
from minidiff.equations import dynamic_threshold
from minidiff.errors import UserError
from minidiff.figures.grids import enlarge, picture, save_gif, save_png
from minidiff.guidance import CFG, Anagram, Guidance, Hybrid
from minidiff.io.devices import place_in_team
from minidiff.io.pictures import read_mask, read_picture
from minidiff.model import load
from minidiff.noise import SeededNoise
from minidiff.sampling import denoise, keep_outside, noised_start
from minidiff.schedule import course_pairs, leading_timesteps, named_timesteps, pipeline_pairs
from minidiff.views import VIEWS, View


@dataclass(frozen=True)
class Settings:
    """What all drawing verbs take from the command line."""

    seeds: list[int]
    steps: str
    guidance: float
    negative: str
    out: str
    gif: bool
    scale: int
    batch: int
    weights: str | None = None
    device: str | None = None
    dtype: torch.dtype | None = None
    embeddings: str | None = None
    compile: bool = False

    def __post_init__(self):
        if not math.isfinite(self.guidance):
            raise UserError(f"guidance must be a finite number, not {self.guidance}; 7 is usual")
        if self.batch < 1:
            raise UserError(f"a batch has at least 1 picture, not {self.batch}")
        if not 1 <= self.scale <= 32:
            raise UserError(f"pictures can be enlarged 1 to 32 times, not {self.scale}")


@dataclass(frozen=True)
class Shot:
    """One picture to draw. `start` is where in the walk it begins, `tells` what its file tells."""

    name: str
    seed: int
    start: int = 0
    tells: dict = field(default_factory=dict)


# --- the verbs --------------------------------------------------------------------------------


def sample(prompts: list[str], **options) -> list[Path]:
    """A picture for every prompt and seed."""
    studio = Studio(Settings(**options))
    studio.encode(prompts)
    wanted = list(product(dict.fromkeys(prompts), studio.settings.seeds))
    shots = [studio.shot("sample", prompt, seed) for prompt, seed in wanted]
    return studio.draw(shots, studio.guided([prompt for prompt, _ in wanted]))


def edit(
    image: str,
    prompt: str,
    strength: list[float] | None = None,
    i_start: list[int] | None = None,
    **options,
) -> list[Path]:
    """SDEdit: the picture noised, then denoised towards the prompt, for every strength and seed."""
    if strength and i_start:
        raise UserError("--strength and --i-start say the same thing: give one of them")
    studio = Studio(Settings(**options))
    original = read_picture(image, studio.model.sample_size)
    starts = i_start or [start_index(s, len(studio.pairs)) for s in strength or [0.7]]
    studio.encode([prompt])
    shots = [
        studio.shot(f"edit-{slug(Path(image).stem)}-from-{start}", prompt, seed, start, image=image)
        for start, seed in product(dict.fromkeys(starts), studio.settings.seeds)
    ]
    return studio.draw(shots, studio.guided([prompt] * len(shots)), original)


def inpaint(image: str, mask: str, prompt: str, invert: bool, **options) -> list[Path]:
    """The prompt where the mask is white, the picture elsewhere."""
    studio = Studio(Settings(**options))
    size = studio.model.sample_size
    original, hole = read_picture(image, size), read_mask(mask, size, picture=image, invert=invert)
    studio.encode([prompt])
    kind = f"inpaint-{slug(Path(image).stem)}" + "-inverted" * invert
    tells = {"image": image, "mask": mask} | ({"invert": "yes"} if invert else {})
    shots = [studio.shot(kind, prompt, seed, **tells) for seed in studio.settings.seeds]
    return studio.draw(shots, studio.guided([prompt] * len(shots)), original, hole)


def anagram(prompt: str, turned: str, view: str, **options) -> list[Path]:
    """One prompt as the picture hangs, the other through a view, such as upside down."""
    if view not in VIEWS:
        raise UserError(f"no view is called {view!r}; known: {', '.join(VIEWS)}")
    studio = Studio(Settings(**options))
    studio.encode([prompt, turned])
    shots = [
        studio.shot(f"anagram-{view}", f"{prompt} | {turned}", seed, view=view)
        for seed in studio.settings.seeds
    ]
    conds = tuple(studio.rows([p] * len(shots)) for p in (prompt, turned))
    uncond = studio.rows([studio.settings.negative] * len(shots))
    views = (View(), VIEWS[view])
    return studio.draw(shots, Anagram(conds, uncond, views, studio.settings.guidance))


def hybrid(far: str, near: str, **options) -> list[Path]:
    """One prompt seen from afar, another close up."""
    studio = Studio(Settings(**options))
    studio.encode([far, near])
    shots = [studio.shot("hybrid", f"{far} | {near}", seed) for seed in studio.settings.seeds]
    conds = [studio.rows([p] * len(shots)) for p in (far, near, studio.settings.negative)]
    return studio.draw(shots, Hybrid(*conds, studio.settings.guidance))


# --- what they share --------------------------------------------------------------------------


class Studio:
    """An opened checkpoint with a walk; draws batches of pictures into files."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.model = load(
            settings.weights,
            settings.device,
            settings.dtype,
            settings.embeddings,
            settings.compile,
        )
        self.pairs, self.threshold = self.walk()
        self.index: dict[str, int] = {}
        self.conds: Cond | None = None

    def walk(self):
        """The official pipeline's walk for a number or a named list, or the course's own."""
        if self.settings.steps == "course":
            return course_pairs(), None
        if re.fullmatch(r"-?\d{1,18}", self.settings.steps):
            timesteps = leading_timesteps(int(self.settings.steps))
        else:
            timesteps = named_timesteps(self.settings.steps)
        numbers = {"ratio": self.model.threshold_ratio, "max_value": self.model.threshold_max}
        return pipeline_pairs(timesteps), partial(dynamic_threshold, **numbers)

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> None:
        """Prepare these prompts and the negative one, and let the text encoder go."""
        texts = list(dict.fromkeys([*prompts, self.settings.negative]))
        self.model.encode.check([text for text in texts if text or text in prompts])
        states = self.model.encode(texts)
        self.model.encode.free()
        self.index = {text: i for i, text in enumerate(texts)}
        self.conds = self.model.unet.prepare(states)

    def rows(self, prompts: list[str]) -> Cond:
        return self.conds.take([self.index[prompt] for prompt in prompts])

    def guided(self, prompts: list[str]) -> Guidance:
        """Classifier-free guidance, a picture for each of the prompts."""
        uncond = self.rows([self.settings.negative] * len(prompts))
        return CFG(self.rows(prompts), uncond, self.settings.guidance)

    def shot(
        self, kind: str, prompt: str, seed: int, start: int | None = None, **inputs: str
    ) -> Shot:
        settings = self.settings
        tells = {"prompt": prompt, "seed": seed, "steps": settings.steps}
        tells |= {"guidance": settings.guidance, "weights": self.model.name} | inputs
        tells |= {"negative": settings.negative} if settings.negative else {}
        tells |= {} if start is None else {"i_start": start}
        return Shot(f"{kind}-{slug(prompt)}-seed{seed}", seed, start or 0, tells)

    def draw(
        self,
        shots: list[Shot],
        guidance: Guidance,
        original: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> list[Path]:
        """Walk all shots, a batch at a time; original and mask are (1, 3, H, W), (1, 1, H, W)."""
        written = []
        Path(self.settings.out).mkdir(parents=True, exist_ok=True)  # or fail before the work
        for rows in my_batches(len(shots), self.settings.batch):
            part = [shots[row] for row in rows]
            frames = self.frames(part, guidance.take(rows), original, mask)
            written += self.save(part, frames)
        return written

    def frames(self, shots, guidance, original, mask) -> list[Tensor]:
        """The pictures after each step of their walk; only the last ones unless GIFs are asked."""
        model, starts = self.model, [shot.start for shot in shots]
        side = model.sample_size
        noise = SeededNoise([shot.seed for shot in shots], (3, side, side), model.device)
        keep = None
        if original is not None:
            original = original.expand(len(shots), -1, -1, -1).to(model.device)
        if mask is not None:
            keep = keep_outside(original, mask.to(model.device), model.schedule, noise)
        if original is None or mask is not None:
            x = noise.draw()
        else:
            x = noised_start(original, self.pairs, starts, model.schedule, noise)
        walk = denoise(
            model.fast_unet, model.schedule, x, self.pairs, guidance, noise,
            start=starts, threshold=self.threshold, after_step=keep,
        )  # fmt: skip
        frames = [x]
        for step in tqdm(walk, total=len(self.pairs) - min(starts), desc=f"{len(shots)} pictures"):
            frames = [*frames, step.x] if self.settings.gif else [step.x]
        return [frame.cpu() for frame in frames]

    def save(self, shots: list[Shot], frames: list[Tensor]) -> list[Path]:
        written, scale = [], self.settings.scale
        for row, shot in enumerate(shots):
            path = Path(self.settings.out) / f"{shot.name}.png"
            written.append(save_png(enlarge(picture(frames[-1][row]), scale), path, shot.tells))
            if self.settings.gif:
                film = [picture(frame[row]) for frame in frames]
                gif = path.with_suffix(".gif")
                written.append(save_gif(film, gif, shot.tells, scale=scale))
        return written


def my_batches(count: int, batch: int) -> list[list[int]]:
    """Which of `count` pictures this process draws, batch by batch.

    Alone it draws all. Under torchrun the batches go round among the processes, and are small
    enough that each process has work.
    """
    rank, world = place_in_team()
    size = min(batch, math.ceil(count / world))
    batches = [list(range(n, min(n + size, count))) for n in range(0, count, size)]
    return batches[rank::world]


def start_index(strength: float, steps: int) -> int:
    """Which step to begin at, so that the share `strength` of the walk is redone."""
    if not 0 < strength <= 1:
        raise UserError(
            f"strength must be above 0 (keep the picture) and at most 1 (forget it), not {strength}"
        )
    return min(round((1 - strength) * steps), steps - 1)


def slug(text: str) -> str:
    """A file name that tells the prompt; what it cannot tell, a checksum keeps apart."""
    words = "-".join(re.findall(r"[a-z0-9]+", text.lower()))[:60]
    exact = words.replace("-", " ") == text
    return words if exact else f"{words}-{zlib.crc32(text.encode('utf-8', 'replace')):08x}"
