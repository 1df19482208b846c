"""Measurements of the second stage: 64 to 256 pixels, against the filters everybody has.

Held-out pictures, which no stage has seen, are shrunk to 64 pixels as the training pictures were
and enlarged again, so that the truth is known: the error to it, how much of its edges is there
(gradient energy, 1 is the truth's own), and how far patches of 8 x 8 pixels are from the truth's as
a crowd (Frechet distance in their principal directions). Then named samples of the first stage are
enlarged, shrunk back, and judged as before: a second stage must not make another picture of them.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from minidiff.digits.evaluate import frechet_distance
from minidiff.emoji.data import PACKED_2, composite, open_emoji
from minidiff.emoji.judge import grain
from minidiff.emoji.measure_phrase import principal_directions
from minidiff.emoji.measure_samples import draw_names, recognised
from minidiff.emoji.prompts import COLOURS
from minidiff.emoji.train_upscaler import shrink
from minidiff.emoji.workbench import Row, Workbench, share_row, spread
from minidiff.io.inputs import pictures
from minidiff.io.pictures import to_image
from minidiff.stage2.cascade import recommended
from minidiff.stage2.upscaler import Upscaler
from minidiff.weights.known import has_second

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "Lanczos": Image.Resampling.LANCZOS,
}
PATCH, TAKEN = 8, 20_000  # side; patches compared
LEVELS = (0, 50, 100, 200, 300)


def large(bench: Workbench) -> list[Row]:
    """The second stage beside the filters; nothing where no second stage lies beside the first."""
    if not has_second(bench.model.folder) or not PACKED_2.is_file():
        return []
    upscaler = Upscaler(bench.studio)
    truth, low, texts = held_out(bench)
    ways = {name: enlarged_by(low, kind) for name, kind in FILTERS.items()}
    ways["second stage"] = enlarge_all(upscaler, low, texts)
    features = patch_directions(truth)
    rows = []
    for name, x in ways.items():
        rows += compared(name, x, truth, features)
    own = recommended(upscaler.model.folder, "drawing").level  # measured already
    for level in (level for level in LEVELS if level != own):
        again = enlarge_all(upscaler, low, texts, level=level)
        rows += compared(f"second stage, level {level}", again, truth, features)
    return [*rows, *named(bench, upscaler)]


def held_out(bench: Workbench) -> tuple[Tensor, Tensor, list[str]]:
    """Held-out pictures on white (B, 3, 256, 256), the same at 64 pixels, and their names."""
    read, records = open_emoji(PACKED_2)
    codes = {concept["code"] for concept in bench.prompts["held_out"]}
    picked = spread([i for i, r in enumerate(records) if r.code in codes], bench.plan.edits)
    images = torch.stack([read(i) for i in picked])
    white = torch.tensor(COLOURS["white"], dtype=torch.uint8).expand(len(images), 3)
    truth, low = composite(images, white), composite(shrink(images), white)
    return truth, low, [records[i].name for i in picked]


def enlarged_by(low: Tensor, kind: Image.Resampling) -> Tensor:
    """Small pictures made four times as large by one of Pillow's filters."""
    side = 4 * low.shape[-1]
    larger = [to_image(x).resize((side, side), kind) for x in low]
    return torch.cat([pictures(image, "cpu", size=side) for image in larger])


def enlarge_all(
    upscaler: Upscaler, low: Tensor, texts: list[str], level: int | None = None
) -> Tensor:
    """The second stage as it recommends itself, a seed for each picture: (B, 3, 256, 256)."""
    usual = recommended(upscaler.model.folder, "drawing")
    usual = usual if level is None else replace(usual, level=level)
    upscaler.level = usual.level
    plan = upscaler.plan(usual.steps, guidance=usual.guidance)
    job = upscaler.job(upscaler.cfg(texts, usual.guidance), list(range(len(low))), plan)
    return upscaler.finish(upscaler.showing(job, low, usual.strength)).tensor.clamp(-1, 1)


def compared(name: str, x: Tensor, truth: Tensor, features) -> list[Row]:
    """The rows of one way to enlarge."""
    error = ((x - truth) / 2).square().mean((1, 2, 3)).sqrt()
    rough = (grain(x) - grain(truth)).mean().item()
    sharp = (gradient_energy(x) / gradient_energy(truth)).mean().item()
    far = frechet_distance(features(x), features(truth))
    spread_of = (error.std() / len(error) ** 0.5).item()
    return [
        Row(f"256 pixels, {name}: error, rms of 0..1", error.mean().item(), len(x), "", spread_of),
        Row(f"256 pixels, {name}: gradient energy", sharp, len(x), "near 1"),
        Row(f"256 pixels, {name}: Frechet distance of patches", far, len(x)),
        Row(f"256 pixels, {name}: grain above the truth's", rough, len(x)),
    ]


def gradient_energy(x: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B,): the mean square of neighbours' differences, across and down."""
    return sum(x.diff(dim=d).square().mean((1, 2, 3)) for d in (2, 3))


def patch_directions(truth: Tensor):
    """Patches in the directions in which the truth's vary most, without their mean colour.

    Returns a function of (B, 3, 256, 256) giving (TAKEN, DIMS): of the same places each time.
    """

    def patches(x: Tensor) -> Tensor:
        return F.unfold(x.float(), PATCH, stride=PATCH // 2).transpose(1, 2).flatten(0, 1)

    busy = patches(truth).std(1)  # places where something is to be seen
    places = busy.topk(min(TAKEN, len(busy))).indices

    def without_mean(x: Tensor) -> Tensor:
        found = patches(x)[places]
        return found - found.mean(1, keepdim=True)

    return principal_directions(truth, without_mean)


def named(bench: Workbench, upscaler: Upscaler) -> list[Row]:
    """Names of samples before, and after they were enlarged and shrunk back."""
    asked = spread(bench.prompts["naming"], bench.plan.naming)
    small = draw_names(bench, asked)
    big = enlarge_all(upscaler, small, [concept["name"] for concept in asked])
    again = F.avg_pool2d(big, big.shape[-1] // small.shape[-1]).to(small.device)
    return [
        share_row("names of samples at 64 pixels", recognised(bench, small, asked)),
        share_row("names of samples at 256, shrunk back", recognised(bench, again, asked)),
    ]
