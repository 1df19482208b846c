"""The one place where prompts become pictures: a loaded model at work.

    import minidiff
    studio = minidiff.open()
    studio.draw("a cat", seeds=range(4))                 # Pictures: a notebook shows them
    studio.edit("me.jpg", "a rocket", i_start=10)        # path, PIL picture, array or tensor
    studio.inpaint("me.jpg", "mask.png", "a face")
    studio.anagram("running shoe", "bacon")
    studio.hybrid("snowflake", "page facing up")
    for step in studio.walk("a cat"):                    # every x_t, eps and x0 of it
        ...

Each of the five is a Job, one row a picture, and `walk` takes jobs too: the command line, the
report, the demo's measurements and the page make their own, and share everything below that.
"""

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from minidiff.deepfloyd.unet import Cond
from minidiff.errors import UserError
from minidiff.guidance import CFG, Anagram, Guidance, Hybrid
from minidiff.io.arrays import as_image, as_mask
from minidiff.io.inputs import as_tensor, pictures, whole_numbers
from minidiff.io.inputs import mask as several_masks
from minidiff.io.pictures import File, read_mask, read_picture, to_image
from minidiff.model import Model, load
from minidiff.noise import SeededNoise
from minidiff.plan import Plan, make_plan, read_defaults
from minidiff.sampling import Step, check_starts, denoise, keep_outside, noised_start
from minidiff.views import View, find_view

SEED = 180  # the course's
STRENGTH = 0.7  # the share of the walk that an edit redoes
# What users of other libraries type, and what it is called here.
ELSEWHERE = {
    "guidance_scale": "guidance",
    "num_inference_steps": "steps",
    "negative_prompt": "negative",
    "generator": "seeds",
    "num_images_per_prompt": "seeds",
    "scheduler": "sampler",
    "image": "picture",
    "mask_image": "mask",
    "seed": "seeds",
    "noise_level": "level",
}
Picture = str | Path | Image.Image | np.ndarray | Tensor
Progress = Callable[[int, int], None]


def named_as_elsewhere(method):
    """A call with other libraries' names for what is needed is told the names here."""
    expected = inspect.signature(method)

    @wraps(method)
    def call(*given, **named):
        try:
            expected.bind(*given, **named)
        except TypeError as error:
            other = [f"{word} is called {ELSEWHERE[word]}" for word in named if word in ELSEWHERE]
            order = ", ".join(list(expected.parameters)[1:-1])
            told = f": {', '.join(other)} here" if other else ""
            raise UserError(f"{method.__name__}({order}, ...): {error}{told}") from error
        return method(*given, **named)

    return call


@dataclass(frozen=True)
class Job:
    """Pictures to draw, B of them: one row of the guidance, one seed and one start for each.

    original  (B, 3, H, W) in [-1, 1]: what is edited, or kept outside the mask
    mask      (B, 1, H, W): 1 where something new shall be
    starts    where in the plan's walk each picture begins, 0 for all that begin as noise
    """

    guidance: Guidance
    seeds: list[int]
    plan: Plan
    starts: list[int]
    original: Tensor | None = None
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.seeds)

    def take(self, rows: list[int]) -> "Job":
        """The same job for some of its pictures."""
        return replace(
            self,
            guidance=self.guidance.take(rows),
            seeds=[self.seeds[row] for row in rows],
            starts=[self.starts[row] for row in rows],
            original=None if self.original is None else self.original[rows],
            mask=None if self.mask is None else self.mask[rows],
        )

    def batches(self, size: int) -> list["Job"]:
        """The job in order, `size` pictures at a time."""
        rows = list(range(len(self)))
        return [self.take(rows[i : i + size]) for i in range(0, len(rows), size)]

    @property
    def steps(self) -> int:
        """How many steps the walk of its earliest picture has."""
        return len(self.plan) - min(self.starts)


class Pictures(list):
    """PIL pictures, one a prompt and seed; `tensor` is (B, 3, H, W) in [-1, 1], on the CPU.

    A notebook shows them side by side, each pixel as a square.
    """

    def __init__(self, tensor: Tensor):
        super().__init__(to_image(x) for x in tensor)
        self.tensor = tensor

    def __getitem__(self, which):
        """One PIL picture, or a slice of them as Pictures."""
        if isinstance(which, slice):
            return Pictures(self.tensor[which])
        return super().__getitem__(which)

    def sheet(self, scale: int = 3, gap: int = 4) -> Image.Image:
        """All of them in a row, enlarged without blur."""
        side = self[0].width * scale
        sheet = Image.new("RGB", (len(self) * (side + gap) - gap, side), "white")
        for i, image in enumerate(self):
            large = image.resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(large, (i * (side + gap), 0))
        return sheet

    def _repr_png_(self) -> bytes:
        return self.sheet()._repr_png_()


class Studio:
    """A model at work. Prompts are prepared once and each by itself, so that a picture does not
    depend on what was drawn before it.

    batch     pictures at a time; default: what suits the device
    progress  called after every step with (steps done, steps in all); default: a bar in a terminal
    """

    def __init__(self, model: Model, batch: int | None = None, progress: Progress | None = None):
        if batch is not None and batch < 1:
            raise UserError(f"a batch has at least 1 picture, not {batch}")
        self.model, self.progress = model, progress
        self.batch = batch or suitable_batch(model)
        self._prepared: dict[str, Cond] = {}
        self._states: dict[str, Tensor] = {}
        self._upscalers: dict = {}

    # --- what a notebook types -------------------------------------------------------------------

    @named_as_elsewhere
    def draw(self, prompts: str | Sequence[str], seeds=SEED, **how) -> Pictures:
        """A picture for every prompt and seed, prompt by prompt.

        negative  what to steer away from; steps, sampler, spacing, eta, limit, guidance: make_plan
        """
        return self.finish(self.drawing(prompts, seeds, **how))

    @named_as_elsewhere
    def edit(self, picture: Picture, prompt: str, seeds=SEED, **how) -> Pictures:
        """SDEdit: the picture noised, then denoised towards the prompt, for every start and seed.

        i_start   the index in the list of timesteps where it begins, or several of them; in the
                  course's list of 33 unless `steps` names another; or
        strength  the share of the walk that is redone, above 0 and up to 1; default: 0.7
        and what `draw` takes.
        """
        return self.finish(self.editing(picture, prompt, seeds, **how))

    @named_as_elsewhere
    def inpaint(self, picture: Picture, mask: Picture, prompt: str, seeds=SEED, **how) -> Pictures:
        """The prompt where the mask is white (black with invert=True), the picture elsewhere."""
        return self.finish(self.inpainting(picture, mask, prompt, seeds, **how))

    @named_as_elsewhere
    def anagram(self, prompt: str, turned: str, seeds=SEED, view="flip", **how) -> Pictures:
        """One prompt as the picture hangs, the other as turned; and what `draw` takes.

        view  a name of views.VIEWS ("flip", "rotate180", ...) or a View
        """
        return self.finish(self.anagrams(prompt, turned, seeds, view, **how))

    @named_as_elsewhere
    def hybrid(self, far: str, near: str, seeds=SEED, **how) -> Pictures:
        """One prompt seen from afar, another close up; and what `draw` takes."""
        return self.finish(self.hybrids(far, near, seeds, **how))

    @named_as_elsewhere
    def upscale(self, small, prompts, seeds=SEED, *, weights_2=None, **how) -> Pictures:
        """Pictures that were drawn here, or others of any kind, made large by stage II.

        prompts and seeds as they were drawn with; weights_2: the folder of the second stage, by
        default the one beside this one. The rest as for Upscaler.upscale.
        """
        from minidiff.stage2.upscaler import Upscaler  # which is a Studio

        if weights_2 not in self._upscalers:
            self._upscalers[weights_2] = Upscaler(self, weights_2)
        return self._upscalers[weights_2].upscale(self.as_small(small), prompts, seeds, **how)

    def as_small(self, found) -> Tensor:
        """(B, 3, h, w) in [-1, 1] of Pictures, a file, PIL, a tensor, or a list of such."""
        if isinstance(found, Pictures):
            return found.tensor
        if isinstance(found, (str, Path)):
            return self.picture(found)
        if isinstance(found, (list, tuple)):
            if not found:
                raise UserError("there is no picture in an empty list")
            small = [self.as_small(one) for one in found]
            if len({x.shape[1:] for x in small}) > 1:
                raise UserError("pictures that are enlarged together have one size")
            return torch.cat(small)
        return pictures(as_image(found))

    # --- the same as jobs ------------------------------------------------------------------------

    def drawing(self, prompts, seeds=SEED, *, negative: str = "", **how) -> Job:
        plan, prompts, seeds = self.plan(**how), listed(prompts), seed_list(seeds)
        self.check_texts(prompts, negative)
        asked = [prompt for prompt, _ in product(prompts, seeds)]
        return self.job(self.cfg(asked, plan.guidance, negative), seeds * len(prompts), plan)

    def editing(
        self, picture, prompt, seeds=SEED, *, i_start=None, strength=None, negative="", **how
    ) -> Job:
        if i_start is not None and how.get("steps") is None:
            how["steps"] = "course"  # a place in a list means nothing until the list is known
        plan, seeds = self.plan(**how), seed_list(seeds)
        self.check_texts([prompt], negative)
        begin = [start for start in start_list(i_start, strength, len(plan)) for _ in seeds]
        guidance = self.cfg([prompt] * len(begin), plan.guidance, negative)
        times = len(begin) // len(seeds)
        original = self.picture(picture)
        return self.job(guidance, seeds * times, plan, starts=begin, original=original)

    def inpainting(
        self, picture, mask, prompt, seeds=SEED, *, invert=False, negative="", **how
    ) -> Job:
        plan, seeds = self.plan(**how), seed_list(seeds)
        self.check_texts([prompt], negative)
        guidance = self.cfg([prompt] * len(seeds), plan.guidance, negative)
        hole = self.hole(mask, picture, invert)
        return self.job(guidance, seeds, plan, original=self.picture(picture), mask=hole)

    def anagrams(self, prompt, turned, seeds=SEED, view="flip", *, negative="", **how) -> Job:
        plan, seeds = self.illusion_plan(**how), seed_list(seeds)
        self.check_texts([prompt, turned], negative)
        conds = tuple(self.cond([text] * len(seeds)) for text in (prompt, turned))
        views = (View(), find_view(view))
        uncond = self.cond(self.away_from(negative, [prompt] * len(seeds), plan.guidance))
        return self.job(Anagram(conds, uncond, views, plan.guidance), seeds, plan)

    def hybrids(self, far, near, seeds=SEED, *, negative="", **how) -> Job:
        plan, seeds = self.illusion_plan(**how), seed_list(seeds)
        self.check_texts([far, near], negative)
        away = self.away_from(negative, [far] * len(seeds), plan.guidance)
        conds = [self.cond(texts) for texts in ([far] * len(seeds), [near] * len(seeds), away)]
        return self.job(Hybrid(*conds, plan.guidance), seeds, plan)

    def job(self, guidance, seeds, plan=None, *, starts=0, original=None, mask=None) -> Job:
        """Any guidance with B rows and B seeds; one start, picture or mask serves all rows."""
        seeds = seed_list(seeds)

        def each(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.to(self.model.device).expand(len(seeds), -1, -1, -1)

        plan = self.plan("course") if plan is None else plan
        starts = check_starts(starts, len(seeds), len(plan))
        return Job(guidance, seeds, plan, starts, each(original), each(mask))

    # --- what they are made of -------------------------------------------------------------------

    def plan(self, steps=None, **words) -> Plan:
        """How to walk: see plan.make_plan. UserError for a word it does not know."""
        known = make_plan.__code__.co_varnames[2 : make_plan.__code__.co_argcount]
        for word in words:
            if word not in known:
                here = ELSEWHERE.get(word)
                listed = ", ".join(("seeds", "negative", "steps", *known))
                remedy = f"it is called {here} here" if here else f"known: {listed}"
                if word in ("level", "strength", "upscale"):
                    remedy = "studio.upscale(pictures, prompts, seeds) makes drawn pictures large"
                raise UserError(f"there is no argument {word}: {remedy}")
        return make_plan(self.model, steps, **words)

    def illusion_plan(self, steps=None, guidance=None, **words) -> Plan:
        """As `plan`, but two prompts at once may need more steps and less guidance."""
        advice = read_defaults(self.model.folder)
        if steps is None and words.get("sampler") is None:
            steps = advice.illusion_steps
        guidance = advice.illusion_guidance if guidance is None else guidance
        return self.plan(steps, guidance=guidance, **words)

    def check_texts(self, prompts: Sequence[str], negative: str = "") -> None:
        """UserError for a prompt that says nothing or too much; the negative one may be empty."""
        for prompt in (*prompts, negative):
            if not isinstance(prompt, str):
                raise UserError(
                    f"here a prompt is one text, and not a {type(prompt).__name__}; a picture comes"
                    " first, then its mask, then the prompt"
                )
        self.model.encode.check([*prompts, negative] if negative else list(prompts))

    @torch.no_grad()
    def states(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """The text states of prompts, (77, D) each; encoded once, a second stage reads them too."""
        new = [p for p in dict.fromkeys(prompts) if p not in self._states]
        self._states |= zip(new, self.model.encode(new) if new else [])
        return self._states

    @torch.no_grad()
    def cond(self, prompts: Sequence[str]) -> Cond:
        """Prompts as the UNet wants them, one row for each."""
        new = [p for p in dict.fromkeys(prompts) if p not in self._prepared]
        states = self.states(new)
        for prompt in new:
            self._prepared[prompt] = self.model.unet.prepare(states[prompt][None])
        return Cond.cat([self._prepared[prompt] for prompt in prompts])

    def cfg(self, prompts: Sequence[str], scale: float, negative: str = "") -> CFG:
        """Classifier-free guidance, a picture for each of the prompts."""
        away = self.away_from(negative, prompts, scale)
        self.cond([*prompts, *away])  # read the text encoder once for both
        return CFG(self.cond(prompts), self.cond(away), scale)

    def away_from(self, negative: str, prompts: Sequence[str], scale: float) -> list[str]:
        """The prompts to steer away from. At guidance 1 they count for nothing: a file of
        embeddings that lacks them serves, too."""
        if scale == 1 and negative:
            warnings.warn(
                f"guidance is 1, so the negative prompt {negative!r} counts for nothing: give more"
                " guidance, such as 3, or leave it out"
            )
        known = getattr(self.model.encode, "embeddings", None)
        unneeded = scale == 1 and known is not None and negative not in known
        return list(prompts) if unneeded else [negative] * len(prompts)

    def noise(self, seeds: Iterable[int]) -> SeededNoise:
        """The noise of these seeds, in the size and on the device of the model's pictures."""
        side = self.model.sample_size
        return SeededNoise(list(seeds), (3, side, side), self.model.device)

    def picture(self, picture: Picture) -> Tensor:
        """(1, 3, H, W) in [-1, 1] on the model's device, from whatever kind of picture."""
        side = self.model.sample_size
        if isinstance(picture, (str, Path)):
            return read_picture(picture, side).to(self.model.device)
        x = pictures(as_image(picture), self.model.device, size=side)
        if x.shape != (1, 3, side, side):
            raise UserError(f"give one picture of {side}x{side} pixels, not {tuple(x.shape)}")
        return x

    def hole(self, mask: Picture, picture: Picture, invert: bool = False) -> Tensor:
        """(1, 1, H, W): 1 where a mask of whatever kind is white, or black with `invert`."""
        side, mask, other = self.model.sample_size, as_mask(mask), as_image(picture)
        if not isinstance(mask, File):
            m = (several_masks(mask, self.picture(picture)) >= 0.5).float()
            return 1 - m if invert else m
        size = getattr(mask, "size", None)  # of a picture in memory; it may be the model's own
        alike = size != (side, side) or getattr(other, "size", None) == size
        other = other if alike and isinstance(other, File) else None  # nothing to compare with
        return read_mask(mask, side, picture=other, invert=invert).to(self.model.device)

    # --- walking ---------------------------------------------------------------------------------

    def walk(self, job: Job | str | Sequence[str], seeds=SEED, **how) -> Iterator[Step]:
        """Every step of a job's pictures in one batch; of prompts, as `draw` takes them."""
        job = job if isinstance(job, Job) else self.drawing(job, seeds, **how)
        model, noise = self.model, self.noise(job.seeds)
        keep = None
        if job.mask is not None:
            keep = keep_outside(job.original, job.mask, model.schedule, noise)
        if job.original is None or job.mask is not None:
            x = noise.draw()
        else:
            x = noised_start(job.original, job.plan.pairs, job.starts, model.schedule, noise)
        yield from denoise(
            model.fast_unet, model.schedule, x, job.plan.pairs, job.guidance, noise,
            start=job.starts, sampler=job.plan.sampler, threshold=job.plan.limit, after_step=keep,
        )  # fmt: skip

    def finish(self, job: Job) -> Pictures:
        """Walk the whole job, a batch at a time, to its pictures."""
        batches, done = job.batches(self.batch), []
        total, count = sum(batch.steps for batch in batches), 0
        with tqdm(total=total, leave=False, disable=True if self.progress else None) as bar:
            for batch in batches:
                for step in self.walk(batch):
                    count += 1
                    bar.update()
                    if self.progress:
                        self.progress(count, total)
                    x = step.x
                done.append(x.cpu())
        return Pictures(torch.cat(done))

    def free_text_encoder(self) -> None:
        """Let go of the text encoder, which may be larger than the UNet; new prompts reload it."""
        self.model.encode.free()


def open_studio(
    folder: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype=None,
    embeddings: str | Path | None = None,
    compile: bool = False,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Studio:
    """A studio over a checkpoint: the folder and what follows as for minidiff.load."""
    return Studio(load(folder, device, dtype, embeddings, compile), batch, progress)


def suitable_batch(model: Model) -> int:
    """Pictures at a time: few on a CPU, whose cache is small; on a GPU as a large model fits."""
    return 16 if model.device.type == "cpu" else 32


def listed(prompts: str | Sequence[str]) -> list[str]:
    found = [prompts] if isinstance(prompts, str) else prompts
    texts = isinstance(found, Sequence) and all(isinstance(text, str) for text in found)
    if not texts or not found:
        raise UserError(f"prompts are a text or a list of texts, not {prompts!r}")
    return list(dict.fromkeys(found))


def seed_list(seeds: int | Iterable[int]) -> list[int]:
    """One seed, or several, as a list of whole numbers."""
    seeds = whole_numbers(seeds, "a seed")
    if not seeds:
        raise UserError("give at least one seed")
    return seeds


def start_list(i_start, strength, steps: int) -> list[int]:
    """The start indices that either word asks for, without repeats."""
    if i_start is not None and strength is not None:
        raise UserError("strength and i_start say the same thing: give one of them")
    if i_start is None:
        shares = as_tensor(STRENGTH if strength is None else strength, "strength")
        i_start = [start_index(share, steps) for share in shares.double().reshape(-1).tolist()]
    starts = list(dict.fromkeys(whole_numbers(i_start, "i_start")))
    if not starts:
        raise UserError("give at least one place to begin at")
    return starts


def start_index(strength: float, steps: int) -> int:
    """Which step to begin at, so that the share `strength` of the walk is redone."""
    if not 0 < strength <= 1:
        raise UserError(
            f"strength must be above 0 (keep the picture) and at most 1 (forget it), not {strength}"
        )
    return min(round((1 - strength) * steps), steps - 1)
