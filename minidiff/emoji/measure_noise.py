"""Measurements of the predicted noise: overall colour, the variance term, unseen pictures."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from minidiff.emoji.captions import NEUTRAL
from minidiff.emoji.workbench import Row, Workbench, on_white, spread
from minidiff.equations import (
    forward_process,
    gaussian_kl,
    learned_range_log_variance,
    posterior_mean,
    posterior_variance,
    x0_from_eps,
)
from minidiff.guidance import Plain
from minidiff.noise import SeededNoise
from minidiff.sampling import denoise, last
from minidiff.schedule import course_pairs, strided_timesteps

COLOUR_TIMESTEPS = (840, 900, 960)
KL_TIMESTEPS = (20, 100, 250, 500, 750, 950)
DENOISE_TIMESTEPS = (250, 500, 750)
SIGMAS = [0.25 * i for i in range(1, 33)]  # blurs tried, pixels: the best one is the rival


def overall_colour(bench: Workbench) -> list[Row]:
    """How well the UNet sees the mean of the noise, the picture's overall colour at high t.

    Root mean square, over pictures and channels, of mean(predicted) - mean(true), divided by that
    of mean(true): a model that is blind to colour has 1.
    """
    x0, texts = known_pictures(bench)
    cond, eps = bench.studio.cond(texts), noise_for(bench, x0).draw()
    rows = []
    for t in COLOUR_TIMESTEPS:
        predicted, _ = bench.predict(forward_process(x0, bench.abar(t, x0), eps), t, cond)
        blindness = rms((predicted - eps).mean((-2, -1))) / rms(eps.mean((-2, -1)))
        rows.append(Row(f"noise mean, error of own rms, t={t}", blindness, len(x0), "<< 1"))
    return rows


def variance_term(bench: Workbench) -> list[Row]:
    """The loss's variance term, the KL of one step in nats per value: learned and fixed."""
    x0, texts = known_pictures(bench)
    cond, eps = bench.studio.cond(texts), noise_for(bench, x0).draw()
    sums = {"learned": 0.0, "fixed small": 0.0, "fixed large": 0.0}
    for t in KL_TIMESTEPS:
        predicted, v = bench.predict(forward_process(x0, bench.abar(t, x0), eps), t, cond)
        for name, coefficient in zip(sums, (v, torch.full_like(v, -1), torch.full_like(v, 1))):
            sums[name] += one_step_kl(bench, x0, eps, predicted, coefficient, t)
    return [
        Row(f"variance term, {name}", total / len(KL_TIMESTEPS), len(x0))
        for name, total in sums.items()
    ]


def one_step_kl(bench: Workbench, x0, eps, predicted, v, t: int) -> float:
    """Mean KL from the true step t -> t - 1 to the model's; all pictures (B, 3, H, W)."""
    abar, abar_prev = bench.abar(t, x0), bench.abar(t - 1, x0)
    x_t = forward_process(x0, abar, eps)
    true_mean = posterior_mean(x_t, x0, abar, abar_prev)
    mean = posterior_mean(x_t, x0_from_eps(x_t, predicted, abar), abar, abar_prev)
    true_log_variance = posterior_variance(abar, abar_prev).log()
    log_variance = learned_range_log_variance(v, abar, abar_prev)
    return gaussian_kl(true_mean, true_log_variance, mean, log_variance).mean().item()


def denoising(bench: Workbench) -> list[Row]:
    """Pictures of concepts never trained: error of A.1.3, of A.1.4 and of the best blur."""
    x0 = on_white(bench.unseen)
    cond = bench.studio.cond([NEUTRAL] * len(x0))
    rows = []
    for t in DENOISE_TIMESTEPS:
        noise, abar = noise_for(bench, x0), bench.abar(t, x0)
        x_t = forward_process(x0, abar, noise.draw())
        once = x0_from_eps(x_t, bench.predict(x_t, t, cond)[0], abar)
        walk = course_pairs([t, *(s for s in strided_timesteps() if s < t)])
        steps = denoise(bench.model.fast_unet, bench.model.schedule, x_t, walk, Plain(cond), noise)
        blur = best_blur(x_t, x0, abar)
        for name, error in (
            ("one step", squared_error(once, x0)),
            ("iterative", squared_error(last(steps), x0)),
            (f"best blur, sigma {blur.sigma:g}", blur.error),
        ):
            rows.append(Row(f"held-out error, t={t}, {name}", error, len(x0)))
    return rows


class Blur(NamedTuple):
    """A blurred picture and how far it is from the true one."""

    error: float
    sigma: float
    picture: Tensor


def best_blur(x_t: Tensor, x0: Tensor, abar: Tensor) -> Blur:
    """The Gaussian blur of x_t that comes nearest to x0.

    The rival gets every help: sigma is chosen knowing x0, and so is whether to divide by
    sqrt(abar) first, which undoes the forward process's fading.
    """
    tries = []
    for start in (x_t, x_t / abar**0.5):
        for sigma in SIGMAS:
            blurred = gaussian_blur(start, 2 * round(3 * sigma) + 1, sigma)
            tries.append(Blur(squared_error(blurred, x0), sigma, blurred))
    return min(tries, key=lambda blur: blur.error)


def known_pictures(bench: Workbench) -> tuple[Tensor, list[str]]:
    """Training pictures on white, evenly spread, and their names."""
    picked = spread(range(len(bench.gallery.records)), bench.plan.known)
    texts = [bench.gallery.records[i].name for i in picked]
    return on_white(bench.gallery.images[picked]), texts


def noise_for(bench: Workbench, x0: Tensor) -> SeededNoise:
    """Seeds 0, 1, 2, ... for these pictures."""
    return SeededNoise(list(range(len(x0))), device=bench.device)


def rms(x: Tensor) -> float:
    return x.square().mean().sqrt().item()


def squared_error(x: Tensor, y: Tensor) -> float:
    """Mean squared difference in [-1, 1] units; x is clamped, as it would be to be shown."""
    return (x.clamp(-1, 1) - y).square().mean().item()
