"""Part A of the edition of autumn 2026, one function per section: `make part-a EDITION=fa26`.

t = 0 is noise and t = 1 is clean; w counts from the conditional velocity, so w = 7 is what the rest
of this project calls guidance 8. The velocities come from whatever model is loaded, seen in flow
coordinates: `minidiff/flow.py`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from minidiff import ode
from minidiff.equations import linear_velocity
from minidiff.figures.easel import Easel, sheet_of
from minidiff.figures.grids import draw_grid, picture, save_gif
from minidiff.figures.page import Figure
from minidiff.figures.part_a import (
    DEMO_PROMPTS,
    INPUTS,
    OFFICIAL_PROMPTS,
    PHRASE,
    mse,
    near_and_far,
    read,
    told,
    weight_files,
)
from minidiff.figures.part_a import blur as gaussian_blur
from minidiff.figures.report import Topic, draw_report, fingerprint
from minidiff.flow import VelocityView, interpolate, one_step_denoise
from minidiff.guidance import Anagram, Guidance, Hybrid, Plain
from minidiff.io.paths import DEMO, embeddings_file
from minidiff.io.surroundings import import_matplotlib
from minidiff.model import load
from minidiff.studio import SEED
from minidiff.views import Rotate, View, find_view

LEVELS = (0.25, 0.5, 0.75)  # the noise levels of 1.1 to 1.4
BLURS = {0.25: 2.5, 0.5: 1.4, 0.75: 0.8}  # sigma of the Gaussian, chosen by eye for each level
STARTS = (0.02, 0.04, 0.06, 0.1, 0.14, 0.25, 0.5)  # SDEdit's t_start
STEP, W = 0.02, 7.0
OUT = "out/part-a/fa26"


# --- 1.1 to 1.4: the path, and four looks at one estimate ----------------------------------------


def noisy_towers(studio: Easel) -> tuple[Tensor, Tensor, Tensor]:
    """The test picture, the one noise that 1.1 to 1.5 share, and the path between at LEVELS."""
    image, noise = read(studio, "tower.png"), studio.noise([SEED]).draw()
    t = torch.tensor(LEVELS, device=image.device)[:, None, None, None]
    return image, noise, interpolate(image, noise, t)


def path(studio: Easel) -> list[Figure]:
    image, _, noisy = noisy_towers(studio)
    row = [picture(x) for x in (*image, *noisy)]
    sheet = draw_grid([row], columns=["original", *map(t_is, LEVELS)], scale=3)
    alt = "The tower, and three points of the way to it, from noisy to clearer."
    caption = "The test picture at three times. t = 0 would be noise alone, t = 1 the original."
    return [studio.save("1.1-interpolate.png", sheet, caption, alt)]


def blur(noisy: Tensor, t: float) -> Tensor:
    """x_t / t is the picture with noise of strength (1 - t) / t on it; then a Gaussian."""
    return gaussian_blur(noisy / t, kernel=15, sigma=BLURS[t])


def blurred(studio: Easel) -> list[Figure]:
    image, _, noisy = noisy_towers(studio)
    smooth = [blur(x[None], t)[0] for x, t in zip(noisy, LEVELS)]
    rows = [[picture(x) for x in noisy], [picture(x) for x in smooth]]
    notes = [
        [],
        [f"σ = {BLURS[t]:g}, MSE {mse(x, image[0]):.4f}" for x, t in zip(smooth, LEVELS)],
    ]
    sheet = draw_grid(
        rows, columns=list(map(t_is, LEVELS)), rows=["noisy", "x / t, blurred"], captions=notes,
        scale=3,
    )  # fmt: skip
    alt = "Three noisy towers, and the same blurred: the noise fades, and so does the tower."
    return [studio.save("1.2-blur.png", sheet, "Divided by t first, then blurred.", alt)]


def neutral(studio: Easel) -> Plain:
    return Plain(studio.cond([studio.prompts.neutral]))


def one_step(studio: Easel) -> list[Figure]:
    image, _, noisy = noisy_towers(studio)
    velocity = VelocityView(studio.model, neutral(studio))
    clean = [one_step_denoise(x[None], t, velocity)[0] for x, t in zip(noisy, LEVELS)]
    rows = [[picture(x) for x in (n, c, *image)] for n, c in zip(noisy, clean)]
    notes = [["", f"MSE {mse(c, image[0]):.4f}", ""] for c in clean]
    sheet = draw_grid(
        rows, columns=["noisy", "one step", "original"], rows=list(map(t_is, LEVELS)),
        captions=notes, scale=3,
    )  # fmt: skip
    prompt = studio.prompts.neutral
    return [
        studio.save(
            "1.3-one-step.png", sheet, f"One call of the network, {told(prompt)}.",
            "Noisy, one-step estimate and original of the tower at three times.", prompt=prompt,
        )
    ]  # fmt: skip


def velocities(studio: Easel) -> list[Figure]:
    """The update (1 - t) v that one step would make, the true one, and how far they are apart.

    Nothing is clipped before it is drawn: neither the network's estimate nor the updates.
    """
    image, noise, noisy = noisy_towers(studio)
    velocity = VelocityView(studio.model, neutral(studio), limit=False)
    true = [(1 - t) * linear_velocity(image, noise)[0] for t in LEVELS]
    found = [(1 - t) * velocity(x[None], t)[0] for x, t in zip(noisy, LEVELS)]
    errors = [(a - b).square().mean(0).sqrt() for a, b in zip(found, true)]  # (H, W), over RGB
    reach = max(float(x.abs().max()) for x in (*true, *found))  # one scale for all updates
    worst = max(float(e.max()) for e in errors)  # and one for all heatmaps
    rows = [
        [None, picture(x), picture(f, -reach, reach), picture(u, -reach, reach), heat(e, worst)]
        for x, f, u, e in zip(noisy, found, true, errors)
    ]
    rows[0][0] = picture(image[0])
    notes = [["", "", "", "", f"mean {float(e.mean()):.3f}"] for e in errors]
    sheet = draw_grid(
        rows, rows=list(map(t_is, LEVELS)), scale=3, captions=notes,
        columns=["original", "x_t", "predicted update", "true update", "error"],
    )  # fmt: skip
    caption = (
        f"Updates are shown on one scale, from −{reach:.1f} to {reach:.1f}, mid-grey is 0; errors"
        f" (root mean square over the colours) from 0, black, to {worst:.2f}, pale yellow."
    )
    alt = "For three times: the noisy tower, predicted and true update, and a map of their error."
    return [studio.save("1.4-velocity.png", sheet, caption, alt, prompt=studio.prompts.neutral)]


def heat(error: Tensor, worst: float) -> Image.Image:
    """(H, W) from 0 to `worst` as colours, linear."""
    unit, colours = (error.cpu() / worst).numpy(), import_matplotlib().colormaps["inferno"]
    return Image.fromarray((colours(unit)[..., :3] * 255).astype("uint8"))


# --- 1.5 to 2.1: Euler --------------------------------------------------------------------------


def walk(studio: Easel, name: str, x: Tensor, guidance: Guidance, t_start=0.0) -> list[Tensor]:
    """All states of Euler's method from t_start to 1."""
    times = ode.step_times(t_start, STEP)
    states = ode.euler_walk(VelocityView(studio.model, guidance), x, times)
    return list(tqdm(states, name, len(times), leave=False, disable=not sys.stderr.isatty()))


def from_half(studio: Easel) -> list[Figure]:
    image, _, noisy = noisy_towers(studio)
    start, t = noisy[1:2], LEVELS[1]
    states = walk(studio, "1.5", start, neutral(studio), t)
    times = ode.step_times(t, STEP)
    kept = [0, *range(5, len(states), 5)]
    strip = [picture(states[i][0]) for i in kept]
    sheet = draw_grid([strip], columns=[t_is(round(times[i], 4)) for i in kept], scale=3)
    others = {
        "original": image[0],
        "one step": one_step_denoise(start, t, VelocityView(studio.model, neutral(studio)))[0],
        "Gaussian blur": blur(start, t)[0],
        f"{len(states) - 1} Euler steps": states[-1][0],
    }
    notes = [f"MSE {mse(x, image[0]):.4f}" if k != "original" else "" for k, x in others.items()]
    compared = draw_grid(
        [[picture(x) for x in others.values()]], columns=list(others), captions=[notes], scale=3
    )
    prompt = studio.prompts.neutral
    return [
        studio.save(
            "1.5-euler.png", sheet,
            f"Every fifth of the {len(states) - 1} updates from t = {t}.",
            "Six pictures from noisy to clean.", prompt=prompt,
        ),
        studio.save(
            "1.5-compare.png", compared, "The same noisy picture, cleaned in three ways.",
            "The original beside the one-step, the blurred and the Euler estimate.", prompt=prompt,
        ),
    ]  # fmt: skip


def from_noise(studio: Easel) -> list[Figure]:
    guidance = Plain(studio.cond([PHRASE] * 5))
    return five_samples(studio, "1.6", guidance, "no guidance")


def guided(studio: Easel) -> list[Figure]:
    guidance = studio.cfg([PHRASE] * 5, W + 1)
    return five_samples(studio, "2.1", guidance, f"w = {W:g} (γ = {W + 1:g})")


def five_samples(studio: Easel, name: str, guidance: Guidance, how: str) -> list[Figure]:
    states = walk(studio, name, studio.noise(studio.seeds(5)).draw(), guidance)
    seeds = [f"seed {SEED + i}" for i in range(5)]
    sheet = draw_grid([[picture(x) for x in states[-1]]], captions=[seeds], scale=3)
    steps = len(states) - 1
    frames = [sheet_of([picture(x) for x in state], 5) for state in states]
    save_gif(frames, studio.folder / f"{name}.gif", {"seed": SEED, "prompt": PHRASE})
    return [
        studio.save(
            f"{name}-samples.png", sheet, f"Five samples of “{PHRASE}”, {steps} steps, {how}.",
            f"Five pictures, {how}.", prompt=PHRASE,
        ),
        Figure(f"{name}.gif", "The same five, step by step.", "Noise clearing into five pictures."),
    ]  # fmt: skip


# --- 3.1 and 3.2: editing -------------------------------------------------------------------------


def edits(studio: Easel) -> list[Figure]:
    """The tower and two own pictures, then one from the web and two drawings."""
    found = []
    for name, what, jobs in (
        ("3.1-edits.png", "The test picture and two others", studio.prompts.pictures),
        ("3.1-drawings.png", "A picture from the web and two drawings", studio.prompts.drawings),
    ):
        neutral = [(file, studio.prompts.neutral) for file, _ in jobs]
        found.append(edit_levels(studio, name, neutral, what))
    return found


def text_edits(studio: Easel) -> list[Figure]:
    return [edit_levels(studio, "3.2-text-edits.png", studio.prompts.edits, "Three pictures")]


def edit_levels(studio: Easel, name: str, jobs: Sequence[tuple[str, str]], what: str) -> Figure:
    """Every (picture, prompt) from seven starts: the pictures of one start are one batch."""
    images = torch.cat([read(studio, file) for file, _ in jobs])
    prompts = [prompt for _, prompt in jobs]
    asked = any(prompts)  # guided by no prompt against no prompt is not guided
    guidance = studio.cfg(prompts, W + 1) if asked else Plain(studio.cond(prompts))
    noise = studio.noise(studio.seeds(len(jobs))).draw()  # the same at every start
    columns = [walk(studio, name, interpolate(images, noise, t), guidance, t)[-1] for t in STARTS]
    rows = [
        [*(picture(column[i]) for column in columns), picture(images[i])] for i in range(len(jobs))
    ]
    heads = [*(f"t_start = {t:g}" for t in STARTS), "original"]
    labels = [f"“{p}”" for p in prompts] if asked else ()
    sheet = draw_grid(rows, columns=heads, rows=labels, scale=2)
    how = f"w = {W:g}" if asked else "no prompt and no guidance"
    caption = f"{what}: from nearly noise (left) to half a picture, {how}."
    alt = f"{len(jobs)} pictures, each edited from seven starts that approach the original."
    return studio.save(name, sheet, caption, alt, prompt="; ".join(dict.fromkeys(prompts)))


# --- 3.3 and 3.4: illusions -----------------------------------------------------------------------


def anagrams(studio: Easel) -> list[Figure]:
    pairs = studio.prompts.half_turns
    x = readings(studio, "3.3", pairs, Rotate(180))
    texts = [[f"“{a}”" for a, _, _ in pairs], [f"“{b}”" for _, b, _ in pairs]]
    return [
        two_readings(
            studio, "3.3-anagrams.png", x, [Rotate(180)] * 2, texts, pairs,
            ["upright", "turned by 180°"], "Two pictures, upright and turned half round.",
        )
    ]  # fmt: skip


def other_views(studio: Easel) -> list[Figure]:
    """Two transformations more, which CS280A asks for."""
    jobs = [job for job in studio.prompts.anagrams if job[2] != "rotate180"][:2]
    views = [find_view(name) for _, _, name, _ in jobs]
    x = torch.cat([readings(studio, "3.5", [(a, b, n)], v) for (a, b, _, n), v in zip(jobs, views)])
    texts = [[f"“{a}”" for a, *_ in jobs], [f"{v.name}: “{j[1]}”" for v, j in zip(views, jobs)]]
    return [
        two_readings(
            studio, "3.5-other-views.png", x, views, texts, jobs, ["as it is", "through the view"],
            "Two pictures as they are, and each through a transformation of its own.",
        )
    ]  # fmt: skip


def readings(studio: Easel, name: str, pairs: Sequence[tuple[str, str, int]], view: View) -> Tensor:
    """Pictures that read as one prompt, and through the view as another."""
    upright, turned, seeds = map(list, zip(*pairs))
    conds, uncond = (studio.cond(upright), studio.cond(turned)), studio.cond([""] * len(seeds))
    guidance = Anagram(conds, uncond, (View(), view), studio.prompts.anagram_guidance)
    return walk(studio, name, studio.noise(seeds).draw(), guidance)[-1]


def two_readings(
    studio: Easel, name: str, x: Tensor, views: Sequence[View], texts, jobs, rows, alt: str
) -> Figure:
    """The pictures, under them what the views make of them, and the prompts."""
    seen = [view.view(one[None])[0] for view, one in zip(views, x)]
    grid = [[picture(p) for p in x], [picture(p) for p in seen]]
    sheet = draw_grid(grid, rows=rows, captions=texts, scale=3)
    w = studio.prompts.anagram_guidance - 1
    caption = f"Two pictures, two readings each, w = {w:g}."
    return studio.save(name, sheet, caption, alt, seed=[job[-1] for job in jobs], prompts=jobs)


def hybrids(studio: Easel) -> list[Figure]:
    pairs = studio.prompts.hybrids[:2]
    far, near, seeds = map(list, zip(*pairs))
    uncond, w = studio.cond([""] * len(seeds)), studio.prompts.hybrid_guidance - 1
    guidance = Hybrid(studio.cond(far), studio.cond(near), uncond, w + 1)
    x = walk(studio, "3.4", studio.noise(seeds).draw(), guidance)[-1]
    return [
        studio.save(
            "3.4-hybrids.png", near_and_far(x, near, far),
            f"Large, and as from across the room, w = {w:g}.",
            "Two hybrid pictures, large and small.", seed=seeds, prompts=pairs,
        )
    ]  # fmt: skip


# --- the report -----------------------------------------------------------------------------------


def topics(studio: Easel) -> list[Topic]:
    """The sections in the course's order."""
    start = "x = (1 − t_{start}) ε + t_{start} x_1, then 2.1 from there"

    def topic(id, title, draw, look, equation="", code=""):
        return Topic(id, f"{id} {title}", look, lambda: draw(studio), equation, code)

    return [
        topic("1.1", "The path", path,
              "Noise and picture are mixed in straight proportion, t parts of picture.",
              "x_t = (1 − t) ε + t x_1", "equations.linear_path"),
        topic("1.2", "A blur for a baseline", blurred,
              "A blur cannot tell noise from edges: it removes both.",
              "x_t / t = x_1 + ((1 − t) / t) ε"),
        topic("1.3", "One-step denoising", one_step,
              "One velocity, taken for the whole rest of the way.",
              "x̂_1 = x_t + (1 − t) v(x_t, t)", "equations.x1_from_velocity"),
        topic("1.4", "The velocity", velocities,
              "Where the network errs: at edges; with little of the picture left, in whole parts.",
              "(1 − t) v̂   against   (1 − t) (x_1 − ε) = x_1 − x_t", "equations.linear_velocity"),
        topic("1.5", "Euler's method", from_half,
              "Many small steps commit to details that one step can only average.",
              "x_{t+h} = x_t + h v(x_t, t)", "equations.euler_step"),
        topic("1.6", "Sampling from noise", from_noise,
              "The same from t = 0. Without guidance the shapes are loose."),
        topic("2.1", "Classifier-free guidance", guided,
              "The same noise as in 1.6, pushed towards the prompt.",
              "v = v_c + w (v_c − v_u)", "equations.guide_velocity"),
        topic("3.1", "Image-to-image (SDEdit)", edits,
              "An earlier start is more noise and a freer edit.", start, "flow.edit"),
        topic("3.2", "Text-conditional editing", text_edits,
              "With a prompt: from the prompt's own picture to a tinted original.", start),
        topic("3.3", "Visual anagrams", anagrams,
              "Two readings: one upright, one after a half turn.",
              "v = (v_1 + turn(v_2)) / 2", "equations.anagram_estimate"),
        topic("3.4", "Hybrid images", hybrids,
              "Close up one picture; step back, or squint, and it is the other.",
              "v = lowpass(v_1) + highpass(v_2)", "equations.hybrid_estimate"),
        topic("3.5", "More anagrams", other_views,
              "Any transformation that keeps noise noise will do.",
              "v = (v_1 + view^{-1}(v_2)) / 2", "views.Rotate"),
    ]  # fmt: skip


def main(
    out: str | Path = OUT,
    weights: str | Path | None = None,
    only: str | None = None,
    device: str | None = None,
    embeddings: str | Path | None = None,
) -> Path:
    """Draw Part A of autumn 2026 and return its index.html; arguments as in part_a.main."""
    embeddings = embeddings_file(embeddings)
    model = load(weights, device, embeddings=embeddings)
    demo = model.folder.resolve() == DEMO.resolve()
    studio = Easel(model, Path(out), DEMO_PROMPTS if demo else OFFICIAL_PROMPTS)
    files = [*INPUTS.iterdir(), *weight_files(model), *([embeddings] if embeddings else [])]
    return draw_report(
        Path(out),
        "Part A: the power of flow models",
        f"Drawn with the weights {model.name}, a model of the noise that is asked for velocities."
        f" t = 0 is noise, t = 1 is clean; Euler steps of {STEP:g}; w = 0 is the conditional"
        " velocity, so w is the guidance scale of the other edition less one. The estimate of the"
        f" clean picture is clipped to [-1, 1], except in 1.4. Seeds start at {SEED}.",
        topics(studio),
        stamp=fingerprint(files, str(device)),
        only=only,
    )


def t_is(t: float) -> str:
    return f"t = {t:g}"
