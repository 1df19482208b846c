"""Part A of the report, one function per section: `make part-a`.

Two ways of stepping occur. Section 0 samples as the checkpoint recommends (plan.py): official ones
as their pipeline does, the demo as its sampling.json says. Sections 1.4 to 1.9 walk as the course
writes it: 990, 960, ..., 30, 0, equation A.3, v_sigma in every step, no thresholding.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from minidiff.equations import forward_process, x0_from_eps
from minidiff.errors import UserError
from minidiff.figures.compare import compare as compare_topics
from minidiff.figures.easel import SCALE, Easel, Prompts
from minidiff.figures.grids import draw_grid, enlarge, picture, save_gif
from minidiff.figures.page import Figure, Section, Table
from minidiff.figures.report import Topic, choose, draw_report, fingerprint
from minidiff.guidance import Anagram, Hybrid, Plain
from minidiff.io.paths import DEMO, embeddings_file
from minidiff.io.pictures import read_mask, read_picture
from minidiff.io.shipped import shipped_equations
from minidiff.model import Model, load
from minidiff.sampling import Step
from minidiff.stage2.upscaler import Upscaler
from minidiff.studio import SEED
from minidiff.views import View, find_view
from minidiff.weights.known import has_second

INPUTS = Path(__file__).with_name("inputs")
LEVELS = [1, 3, 5, 7, 10, 20]  # SDEdit's i_start
NOISY_T = [250, 500, 750]

PHRASE = "a high quality photo"  # what the course asks for in 1.5 and 1.6

DEMO_PROMPTS = Prompts(
    sampling=("a snow-capped mountain", "a cowboy hat face", "a rocket"),
    # The phrase names animals, plants and food to this model: a tower is best seen without words.
    neutral="",
    pictures=(
        ("tower.png", "a building"),
        ("rabbit.png", "a mouse face"),
        ("face.png", "a fluent emoji of a face"),
    ),
    drawings=(
        ("girl.png", "a picture of a girl"),
        ("tree.png", "a deciduous tree"),
        ("cartoon.png", "a picture of a bear"),
    ),
    holes=(
        ("tower.png", "light bulb"),
        ("rabbit.png", "top hat"),
        ("face.png", "a fluent emoji of a face"),
    ),
    edits=(("tower.png", "a rocket"), ("wolf.png", "a man"), ("candle.png", "a rocket")),
    # Two of the clearest of 200 pairs each, scored by minidiff/emoji/illusions.py, and one that a
    # reader suggested who took the second reading of another pair for a strawberry.
    anagrams=(
        ("fox", "star", "rotate180", 11),
        ("skull", "koala", "rotate90", 16),
        ("tulip", "strawberry", "flip", 4),
    ),
    half_turns=(("fox", "star", 11), ("tulip", "strawberry", 4)),
    anagram_guidance=3.0,  # at 7 two readings leave grain on the white
    hybrids=(
        ("brown heart", "stop sign", 1),
        ("snowflake", "page facing up", 7),
        ("orange heart", "slightly smiling face", 2),
    ),
    hybrid_guidance=2.0,
)
OLD_MAN = "an oil painting of an old man"
CAMPFIRE = "an oil painting of people around a campfire"
OFFICIAL_PROMPTS = Prompts(
    sampling=(
        "an oil painting of a snowy mountain village",
        "a man wearing a hat",
        "a rocket ship",
    ),
    neutral=PHRASE,
    pictures=(("tower.png", PHRASE), ("cat.jpg", PHRASE), ("wolf.png", PHRASE)),
    drawings=(("girl.png", PHRASE), ("tree.png", PHRASE), ("cartoon.png", PHRASE)),
    holes=(("tower.png", PHRASE), ("astronaut.jpg", PHRASE), ("photographer.jpg", PHRASE)),
    edits=(
        ("tower.png", "a rocket ship"),
        ("astronaut.jpg", "a photo of a man"),
        ("candle.png", "a rocket ship"),
    ),
    anagrams=(
        (OLD_MAN, CAMPFIRE, "flip", 180),
        (CAMPFIRE, "a photo of a dog", "flip", 180),
        ("a photo of a dog", "a man wearing a hat", "flip", 180),
    ),
    half_turns=((OLD_MAN, CAMPFIRE, 180), (CAMPFIRE, "a photo of a dog", 180)),
    hybrids=(
        ("a lithograph of a skull", "a lithograph of waterfalls", 180),
        ("a pencil", "a rocket ship", 180),
        ("a lithograph of a skull", CAMPFIRE, 180),
    ),
)


# --- 0: sampling ----------------------------------------------------------------------------------


def sampling(studio: Easel) -> list[Figure]:
    prompts = studio.prompts.sampling
    rows = []
    for steps in (10, 80):
        plan = studio.plan(steps)
        job = studio.job(studio.cfg(prompts, plan.guidance), studio.seeds(len(prompts)), plan)
        walk = studio.record(f"0  {steps} steps", job)
        rows.append([picture(x) for x in walk[-1].x])
    sheet = draw_grid(rows, columns=prompts, rows=["10 steps", "80 steps"], scale=3)
    caption = (
        f"Three prompts, guidance {plan.guidance:g}, seeds {SEED} to {SEED + 2}, 10 and 80 steps."
    )
    alt = "Two rows of three pictures: the same prompts and seeds with 10 and with 80 steps."
    drawn = studio.save("0-sampling.png", sheet, caption, alt, prompts=prompts, steps="10, 80")
    return [drawn, *second_stage(studio, walk[-1].x)]


def second_stage(studio: Easel, small: Tensor) -> list[Figure]:
    """Both stages, and one picture at several noise levels, where a second stage lies beside the
    first; nothing where there is none."""
    if not has_second(studio.model.folder):
        return []
    upscaler, prompts = Upscaler(studio), studio.prompts.sampling

    def large(i: int, **how) -> Image.Image:
        job = upscaler.enlarging("drawing", small[i : i + 1], [prompts[i]], [SEED + i], **how)
        return picture([step.x for step in upscaler.walk(job)][-1][0])

    rows = [[enlarge(picture(x), upscaler.model.sample_size // x.shape[-1]) for x in small]]
    rows.append([large(i) for i in range(len(small))])
    both = draw_grid(rows, columns=prompts, rows=["first stage", "second stage"])
    levels = [0, 100, 200, 299]
    noised = draw_grid(
        [[large(0, level=level) for level in levels]], columns=[f"level {n}" for n in levels]
    )
    return [
        studio.save(
            "0-second-stage.png", both, "The pictures of 80 steps, made large by the second stage.",
            "Above, pictures of large square pixels; below, the same ones with fine detail.",
        ),
        studio.save(
            "0-noise-level.png", noised,
            "One small picture, enlarged from beneath more and more noise: detail is made up anew.",
            "Four versions of one picture, alike in shape and different in fine detail.",
        ),
    ]  # fmt: skip


# --- 1.1 to 1.3: noise, and three ways to take it away --------------------------------------------


def noisy_towers(studio: Easel) -> tuple[Tensor, Tensor]:
    """The test picture (1, 3, 64, 64) and its noisy versions (3, ...): one draw of noise for all,
    so that sections 1.1, 1.2 and 1.3 speak of the same pictures."""
    x0 = read(studio, "tower.png")
    eps = studio.noise([SEED]).draw()
    abars = studio.model.schedule.abar(torch.tensor(NOISY_T), like=x0)
    return x0, forward_process(x0, abars, eps)


def forward(studio: Easel) -> list[Figure]:
    x0, noisy = noisy_towers(studio)
    row = [picture(x) for x in (*x0, *noisy)]
    sheet = draw_grid([row], columns=["original", *map(t_is, NOISY_T)], scale=3)
    alt = "The tower, and three copies that sink into noise as t grows."
    return [studio.save("1.1-forward.png", sheet, "The test picture at three noise levels.", alt)]


def classical(studio: Easel) -> list[Figure]:
    _, noisy = noisy_towers(studio)
    settings = [(5, 1.0), (7, 1.5), (9, 2.5)]  # kernel and sigma, chosen by eye for each level
    blurred = [blur(x, k, s) for x, (k, s) in zip(noisy, settings)]
    rows = [[picture(x) for x in noisy], [picture(x) for x in blurred]]
    notes = [[], [f"kernel {k}, σ = {s:g}" for k, s in settings]]
    sheet = draw_grid(
        rows, columns=list(map(t_is, NOISY_T)), rows=["noisy", "Gaussian blur"], captions=notes,
        scale=3,
    )  # fmt: skip
    alt = "Blurring the three noisy towers: the noise fades, and so does the tower."
    return [studio.save("1.2-classical.png", sheet, "Blur trades noise for detail.", alt)]


@torch.no_grad()
def one_step(studio: Easel) -> list[Figure]:
    x0, noisy = noisy_towers(studio)
    cond = studio.cond([studio.prompts.neutral] * 3)
    t = torch.tensor(NOISY_T)
    dtype = studio.model.dtype
    eps = studio.model.unet(noisy.to(dtype), t, cond).float()[:, :3]
    clean = x0_from_eps(noisy, eps, studio.model.schedule.abar(t, like=noisy))
    rows = [[picture(x) for x in (*x0, n, c)] for n, c in zip(noisy, clean)]
    errors = [["", "", f"MSE {mse(c, x0[0]):.4f}"] for c in clean]
    sheet = draw_grid(
        rows, columns=["original", "noisy", "one step"], rows=list(map(t_is, NOISY_T)),
        captions=errors, scale=3,
    )  # fmt: skip
    alt = "Original, noisy and one-step estimate of the tower at three noise levels."
    caption = f"One call of the UNet, {told(studio.prompts.neutral)}."
    return [studio.save("1.3-one-step.png", sheet, caption, alt, prompt=studio.prompts.neutral)]


def told(prompt: str) -> str:
    return f"prompt “{prompt}”" if prompt else "no prompt"


# --- 1.4 to 1.6: the loop -------------------------------------------------------------------------


def iterative(studio: Easel) -> list[Figure]:
    i_start = 10  # t = 690
    x0 = read(studio, "tower.png")
    guidance = Plain(studio.cond([studio.prompts.neutral]))
    steps = studio.record("1.4", studio.job(guidance, SEED, starts=i_start, original=x0))
    every_fifth = steps[::5]
    strip = [picture(step.x_t[0]) for step in every_fifth]
    names = [t_is(step.t) for step in every_fifth]
    others = {
        "iterative": steps[-1].x[0],
        "one step": steps[0].x0[0],
        "Gaussian blur": blur(steps[0].x_t, 5, 2.0)[0],
        "original": x0[0],
    }
    notes = [f"MSE {mse(p, x0[0]):.4f}" if k != "original" else "" for k, p in others.items()]
    sheet = draw_grid([strip], columns=names, scale=3)
    compare = draw_grid(
        [[picture(p) for p in others.values()]], columns=list(others), captions=[notes], scale=3
    )
    prompt = studio.prompts.neutral
    return [
        studio.save(
            "1.4-steps.png", sheet,
            f"Every fifth picture of the walk from t = 690, {told(prompt)}.",
            "Five pictures from noisy to nearly clean.", prompt=prompt,
        ),
        studio.save(
            "1.4-compare.png", compare, "The same noisy picture, cleaned in three ways.",
            "Iterative, one-step and blurred estimates beside the original.", prompt=prompt,
        ),
        studio.save_walk("1.4.gif", steps, "The whole walk.", "Noise turning into the tower."),
    ]  # fmt: skip


def from_noise(studio: Easel) -> list[Figure]:
    guidance = Plain(studio.cond([PHRASE] * 5))
    return five_samples(studio, "1.5", guidance, "no guidance")


def guided(studio: Easel) -> list[Figure]:
    guidance = studio.cfg([PHRASE] * 5)
    return five_samples(studio, "1.6", guidance, f"guidance {SCALE:g}")


def five_samples(studio: Easel, name: str, guidance, how: str) -> list[Figure]:
    steps = studio.record(name, studio.job(guidance, studio.seeds(5)))
    seeds = [f"seed {SEED + i}" for i in range(5)]
    sheet = draw_grid([[picture(x) for x in steps[-1].x]], captions=[seeds], scale=3)
    caption = f"Five samples of “{PHRASE}”, {how}."
    return [
        studio.save(f"{name}-samples.png", sheet, caption, f"Five pictures, {how}.", prompt=PHRASE),
        studio.save_walk(f"{name}.gif", steps, "The same five, step by step.", "Noise clearing."),
    ]


# --- 1.7: editing ---------------------------------------------------------------------------------


def sdedit(studio: Easel) -> list[Figure]:
    return edit_levels(studio, "1.7", studio.prompts.pictures)


def drawings(studio: Easel) -> list[Figure]:
    return edit_levels(studio, "1.7.1", studio.prompts.drawings)


def text_edits(studio: Easel) -> list[Figure]:
    return edit_levels(studio, "1.7.3", studio.prompts.edits)


def edit_levels(studio: Easel, name: str, jobs) -> list[Figure]:
    """Every (picture, prompt) at six noise levels. All of them are one batch, whose members join
    the walk where their level begins."""
    originals = torch.cat([read(studio, file) for file, _ in jobs])
    x0 = originals.repeat_interleave(len(LEVELS), dim=0)
    prompts = [prompt for _, prompt in jobs for _ in LEVELS]
    starts = LEVELS * len(jobs)
    # The same noise for every level of a picture: what differs is how much of it there is.
    seeds = [SEED + i for i in range(len(jobs)) for _ in LEVELS]
    job = studio.job(studio.cfg(prompts), seeds, starts=starts, original=x0)
    steps = studio.record(name, job)
    results = [picture(p) for p in steps[-1].x]
    n = len(LEVELS)
    rows = [[*results[i * n : (i + 1) * n], picture(originals[i])] for i in range(len(jobs))]
    heads = [*(f"i_start = {level}" for level in LEVELS), "original"]
    sheet = draw_grid(rows, columns=heads, rows=[f"“{p}”" for _, p in jobs], scale=2)
    caption = f"From much noise (left) to little, guidance {SCALE:g}."
    alt = f"{len(jobs)} pictures, each edited at six noise levels that approach the original."
    asked = "; ".join(dict.fromkeys(prompts))
    return [
        studio.save(f"{name}-levels.png", sheet, caption, alt, prompt=asked),
        studio.save_walk(f"{name}.gif", steps, "All levels, step by step.", "Edits forming.", n),
    ]


def inpainting(studio: Easel) -> list[Figure]:
    holes = studio.prompts.holes
    jobs = [(INPUTS / f, INPUTS / f"{Path(f).stem}-mask.png", prompt) for f, prompt in holes]
    return inpaint(studio, "1.7.2", jobs)


def inpaint(studio: Easel, name: str, jobs) -> list[Figure]:
    """Each (picture, mask, prompt): what the mask covers is made anew. Three tries a picture."""
    tries = 3
    device = studio.model.device
    originals = torch.cat([read(studio, file) for file, _, _ in jobs])
    size = studio.model.sample_size
    masks = torch.cat([read_mask(mask, size, picture=file) for file, mask, _ in jobs]).to(device)
    asked = [prompt for _, _, prompt in jobs]
    prompts = [prompt for prompt in asked for _ in range(tries)]
    repeated, holes = (x.repeat_interleave(tries, dim=0) for x in (originals, masks))
    seeds = studio.seeds(len(prompts))
    job = studio.job(studio.cfg(prompts), seeds, original=repeated, mask=holes)
    steps = studio.record(name, job)
    results = [picture(x) for x in steps[-1].x]
    rows = [
        [picture(o), picture(m, low=0.0), picture(o * (1 - m) + m), *results[i : i + tries]]
        for o, m, i in zip(originals, masks, range(0, len(results), tries))
    ]
    heads = ["original", "mask", "hole", *(f"result {i + 1}" for i in range(tries))]
    sheet = draw_grid(rows, columns=heads, rows=[f"“{p}”" for p in asked], scale=2)
    caption = f"Guidance {SCALE:g}; three tries each, as the course advises."
    alt = "Pictures, masks, holes, and three fillings of each hole."
    return [
        studio.save(f"{name}-inpainting.png", sheet, caption, alt, prompt="; ".join(asked)),
        studio.save_walk(f"{name}.gif", steps, "Step by step.", "The holes filling.", tries),
    ]


# --- 1.8 and 1.9: illusions -----------------------------------------------------------------------


def anagrams(studio: Easel) -> list[Figure]:
    """Each pair with its own view, side by side."""
    views = [find_view(name) for _, _, name, _ in studio.prompts.anagrams]
    walks = [anagram_walk(studio, *pair) for pair in studio.prompts.anagrams]
    steps = [replace(turn[0], x=stack(turn, "x"), x_t=stack(turn, "x_t")) for turn in zip(*walks)]
    x, scale = steps[-1].x, studio.prompts.anagram_guidance
    seen = torch.cat([view.view(p[None]) for view, p in zip(views, x)])
    rows = [[picture(p) for p in x], [picture(p) for p in seen]]
    texts = [
        [f"“{a}”" for a, _, _, _ in studio.prompts.anagrams],
        [f"{view.name}: “{b}”" for view, (_, b, _, _) in zip(views, studio.prompts.anagrams)],
    ]
    sheet = draw_grid(rows, rows=["as it is", "turned"], captions=texts, scale=3)
    turning = [
        torch.cat([view.frame(p[None], i / 24) for view, p in zip(views, x)]) for i in range(25)
    ]
    frames = [*turning, *reversed(turning)]
    return [
        studio.save(
            "1.8-anagrams.png", sheet, f"Three pictures, two readings each, guidance {scale:g}.",
            "Three pictures as they are, and each seen through its view.",
            seed=[seed for *_, seed in studio.prompts.anagrams],
            prompts=studio.prompts.anagrams,
        ),
        save_frames(studio, "1.8-turning.gif", frames, "Turned over and back."),
        studio.save_walk("1.8.gif", steps, "Step by step.", "Noise clearing into the anagrams."),
    ]  # fmt: skip


def anagram_walk(studio: Easel, upright: str, turned: str, view: str, seed: int) -> list[Step]:
    """One anagram's walk, every step of it."""
    conds = studio.cond([upright]), studio.cond([turned])
    views, scale = (View(), find_view(view)), studio.prompts.anagram_guidance
    guidance = Anagram(conds, studio.cond([""]), views, scale)
    return studio.record(f"1.8  {view}", studio.job(guidance, [seed]))


def stack(turn: Sequence[Step], field: str) -> Tensor:
    """What several walks hold at the same step, as one batch."""
    return torch.cat([getattr(step, field) for step in turn])


def save_frames(studio: Easel, name: str, frames: list[Tensor], caption: str) -> Figure:
    sheets = [draw_grid([[picture(p) for p in x]], scale=3) for x in frames]
    save_gif(sheets, studio.folder / name, seconds=5.0, hold=0.5)
    return Figure(name, caption, caption)


def hybrids(studio: Easel) -> list[Figure]:
    far, near, seeds = map(list, zip(*studio.prompts.hybrids))
    empty, scale = studio.cond([""] * len(seeds)), studio.prompts.hybrid_guidance
    guidance = Hybrid(studio.cond(far), studio.cond(near), empty, scale)
    steps = studio.record("1.9", studio.job(guidance, seeds))
    return [
        studio.save(
            "1.9-hybrids.png", near_and_far(steps[-1].x, near, far),
            f"Large, and as from across the room, guidance {scale:g}.",
            "Three hybrid pictures, large and small.", seed=seeds, prompts=studio.prompts.hybrids,
        ),
        studio.save_walk("1.9.gif", steps, "Step by step.", "Noise clearing into the hybrids."),
    ]  # fmt: skip


def near_and_far(x: Tensor, near: list[str], far: list[str]) -> Image.Image:
    """Hybrids (B, 3, H, W) as they are looked at from close by, and below as from afar."""
    large = [enlarge(picture(p), 4) for p in x]
    small = [p.resize((16, 16), Image.Resampling.LANCZOS) for p in large]
    texts = [[f"close: “{p}”" for p in near], [f"from afar: “{p}”" for p in far]]
    return draw_grid([large, small], captions=texts)


# --- the report -----------------------------------------------------------------------------------


def topics(studio: Easel) -> list[Topic]:
    """The sections in the report's order."""
    sde = "x_t = forward(x_{orig}, t[i_{start}]), then 1.6 from there"

    def topic(id, title, draw, look, equation="", code=""):
        return Topic(id, f"{id} {title}", look, lambda: draw(studio), equation, code)

    return [
        topic("0", "Sampling from the model", sampling,
              "More steps give cleaner outlines; the prompts are already readable at 10."),
        topic("1.1", "Forward process", forward,
              "The tower drowns as t grows; at 750 only its place and colour are left.",
              "x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε", "equations.forward_process"),
        topic("1.2", "Classical denoising", classical,
              "A blur cannot tell noise from edges: it removes both."),
        topic("1.3", "One-step denoising", one_step,
              "One estimate of the noise gives the tower back, vaguer the more was lost.",
              "x_0 = (x_t − √(1 − ᾱ_t) ε) / √ᾱ_t", "equations.x0_from_eps"),
        topic("1.4", "Iterative denoising", iterative,
              "Many small steps commit to details that one step can only average.",
              "x_{t′} = (√ᾱ_{t′} β_t / (1 − ᾱ_t)) x_0 + (√α_t (1 − ᾱ_{t′}) / (1 − ᾱ_t)) x_t + v_σ",
              "equations.posterior_mean"),
        topic("1.5", "Sampling from noise", from_noise,
              "The same loop from pure noise. Without guidance the shapes are loose."),
        topic("1.6", "Classifier-free guidance", guided,
              "The same seeds, pushed towards the prompt: clearer shapes, stronger colours.",
              "ε = ε_u + γ (ε_c − ε_u)", "equations.classifier_free_guidance"),
        topic("1.7", "Image-to-image (SDEdit)", sdedit,
              "A larger i_start is less noise: the edits approach the original.",
              sde, "sampling.noised_start"),
        topic("1.7.1", "Drawings and a cartoon", drawings,
              "A drawing is projected onto what the model knows; half-way keeps its layout.", sde),
        topic("1.7.2", "Inpainting", inpainting,
              "Outside the mask nothing changes; inside, each try is another answer.",
              "x_t ← m x_t + (1 − m) forward(x_{orig}, t)", "equations.inpaint_blend"),
        topic("1.7.3", "Text-conditional editing", text_edits,
              "The same with a prompt: from the prompt's own picture to a tinted original.", sde),
        topic("1.8", "Visual anagrams", anagrams,
              "Two readings: one upright, one upside down (a flip of the rows).",
              "ε = (ε_1 + flip(ε_2)) / 2", "equations.anagram_estimate"),
        topic("1.9", "Hybrid images", hybrids,
              "Close up one picture; step back, or squint, and it is the other.",
              "ε = lowpass(ε_1) + highpass(ε_2)", "equations.hybrid_estimate"),
    ]  # fmt: skip


WHERE = "What the course's own page shows, and what stands here in its place."
# Item of the report that this page stands in for -> (section, what is shown instead).
MAPPING = (
    ("Part 0, 10 and 80 steps, seed 180", "0", "the same"),
    ("1.1 to 1.4, the Campanile", "1.1 to 1.4", "a tower the demo was never trained on"),
    ("1.7, the Campanile and own images", "1.7", "the tower and two more pictures"),
    ("1.7.1 girl", "1.7.1, row 1", "a drawing of a girl"),
    ("1.7.1 tree with grass", "1.7.1, row 2", "a drawing of a tree with grass"),
    ("1.7.1 Mickey Mouse", "1.7.1, row 3", "a cartoon bear"),
    ("1.7.2 John Mayer", "1.7.2, row 2", "an astronaut; with the demo a rabbit"),
    ("1.7.2 RDJ", "1.7.2, row 3", "a photographer; with the demo a face"),
    ("1.7.3 rocket ship, man, rocket ship", "1.7.3", "the same prompts in the model's words"),
    ("1.8 old man and campfire; campfire and dog; dog and hat", "1.8", "pairs that suit the model"),
    ("1.9 skull and waterfalls; pencil and rocket; skull and campfire", "1.9", "likewise"),
)


OWN = ("yours", "yours-mask")


def own_topics(studio: Easel, image: Path | None, mask: Path | None, prompt: str | None):
    """Sections for a picture of the user's."""
    if image is None:
        return []
    asked = prompt or PHRASE
    draw = {"yours": ("Your picture", lambda: edit_levels(studio, "yours", [(image, asked)]))}
    if mask is not None:
        fill = [(image, mask, asked)]
        draw["yours-mask"] = (
            "Your picture, inpainted",
            lambda: inpaint(studio, "yours-mask", fill),
        )
    stamp = fingerprint([p for p in (image, mask) if p], prompt)
    return [
        Topic(id, title, f"“{asked}”", function, stamp=stamp)
        for id, (title, function) in draw.items()
    ]


def main(
    out: str | Path = "out/part-a",
    weights: str | Path | None = None,
    only: str | None = None,
    image: str | Path | None = None,
    mask: str | Path | None = None,
    prompt: str | None = None,
    device: str | None = None,
    compare: bool = False,
    embeddings: str | Path | None = None,
) -> Path:
    """Draw Part A and return its index.html.

    weights  a checkpoint folder (default: the demo); the report's own prompts for an official one
    only     the id of one section
    image    a picture of yours for two more sections; with a mask of the same size it is inpainted
    prompt   what to turn it into
    compare  draw the section `only` twice: with the equations as shipped, and as they are now
    embeddings  text states in place of a text encoder, see minidiff.load
    """
    # Whole paths: a relative one would be looked for among the shipped pictures, too.
    image, mask = (None if p is None else Path(p).expanduser().absolute() for p in (image, mask))
    embeddings = embeddings_file(embeddings)
    check_own_picture(image, mask, prompt)
    if only is not None and image is not None and only not in OWN:
        raise UserError(
            f"your picture is drawn in the sections {' and '.join(OWN)}, not in {only}: leave ONLY"
            " (--only) out, or give one of them"
        )
    if compare and image is not None:
        raise UserError("COMPARE=1 draws a section of the report: leave IMAGE out")
    model = load(weights, device, embeddings=embeddings)
    if prompt is not None:
        model.encode.check([prompt])
    demo = model.folder.resolve() == DEMO.resolve()
    studio = Easel(model, Path(out), DEMO_PROMPTS if demo else OFFICIAL_PROMPTS)
    if compare:
        return compare_section(studio, only)
    chosen = [*topics(studio), *own_topics(studio, image, mask, prompt)]
    files = [*INPUTS.iterdir(), *weight_files(model), *([embeddings] if embeddings else [])]
    mapping = Table(("in the report", "here", "shown"), MAPPING)
    return draw_report(
        Path(out),
        "Part A: the power of diffusion models",
        f"Drawn with the weights {model.name}. Section 0 steps as these weights"
        " recommend (sampling.json, else the official pipeline's way); 1.4 to 1.9 walk as the"
        " course writes it (990, 960, ..., 0; equation A.3 with v_σ; no thresholding)."
        f" Seeds start at {SEED}.",
        chosen,
        stamp=fingerprint(files, str(device)),
        only=only,
        tables=[]
        if only
        else [Section("Where each item of the report is", WHERE, tables=[mapping])],
    )


def compare_section(studio: Easel, only: str | None) -> Path:
    if only is None:
        raise UserError("COMPARE=1 draws one section twice: say which, for example ONLY=1.4")
    folder = studio.folder / f"compare-{only}"
    both = [
        choose(topics(Easel(studio.model, folder / side, studio.prompts)), only)[0]
        for side in ("shipped", "edited")
    ]
    return compare_topics(folder, *both, shipped_equations())


def check_own_picture(image: Path | None, mask: Path | None, prompt: str | None) -> None:
    """Read the user's files before anything is drawn: a mistake shows at once."""
    if image is None and (mask or prompt):
        raise UserError("MASK and PROMPT go with IMAGE: name the picture to work on")
    if prompt is not None and not prompt.strip():
        raise UserError("PROMPT is empty: say what to turn the picture into, or leave it out")
    if image is not None:
        read_picture(image)
    if mask is not None:
        read_mask(mask, picture=image)


def weight_files(model: Model) -> list[Path]:
    return sorted(p for p in model.folder.rglob("*") if p.suffix in {".safetensors", ".json"})


# --- small helpers --------------------------------------------------------------------------------


def read(studio: Easel, file: str | Path) -> Tensor:
    """A picture of inputs/ by name, or any file by path, on the model's device."""
    return read_picture(INPUTS / file, studio.model.sample_size).to(studio.model.device)


def blur(x: Tensor, kernel: int, sigma: float) -> Tensor:
    """Gaussian blur; imported here because torchvision takes a second that most sections save."""
    from torchvision.transforms.functional import gaussian_blur

    return gaussian_blur(x, kernel, sigma)


def t_is(t: int) -> str:
    return f"t = {t}"


def mse(a: Tensor, b: Tensor) -> float:
    """Mean squared error of pictures in [-1, 1]."""
    return (a.clamp(-1, 1) - b).square().mean().item()
