"""Trains the demo's second stage: from 64 to 256 pixels, on crops.

    make train-emoji STAGE=2 SECONDS=300

The run is train.py's: the same loop, losses, optimizers and files. Different are the batches. The
network is convolutional but for text, so it can learn on pieces, a quarter of the work of a whole
picture, and see whole pictures at the end, when its norms get used to them (recipe-256.json,
crop_sides). The low-resolution picture is shrunk as stage I's training pictures are, enlarged as
the pipeline does it, noised to a level of its own, and only then cut. The text encoder is the
demo's, and stays as it is.

Half of the timesteps are drawn below t_mostly_below: what is coarser the small picture says
already. The error's weight, sqrt((1 - abar) / abar) up to WEIGHT_LIMIT, lies between that of eps
and that of x0.

Sources: Saharia et al. 2021 (SR3), arXiv 2104.07636; noise augmentation, Ho et al. 2021, arXiv
2106.15282; crops, Saharia et al. 2022 (Imagen), arXiv 2205.11487.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from minidiff.deepfloyd.t5 import T5Config, T5Encoder
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.emoji.data import PACKED_2, SIZE, SIZE_2, composite, frame
from minidiff.emoji.export import WEIGHTS, load_exported
from minidiff.emoji.train import EmojiBatches, HybridLoss, Run, T, start_from_zero
from minidiff.equations import forward_process
from minidiff.stage2.cascade import enlarge

RECIPE_2 = Path(__file__).with_name("recipe-256.json")
TRIED = 2  # places for each crop: the busiest is taken, or half of all would be plain white
WEIGHT_LIMIT = 3.0


class CropBatches(EmojiBatches):
    """Draws crops of pictures at 256 pixels, each with its place in the enlarged small picture.

    All pictures lie on the device as bytes, large and shrunk: 1.8 GB.
    """

    def __init__(self, recipe: dict, device: torch.device, seed: int, packed: Path = PACKED_2):
        super().__init__(recipe, device, seed, packed)
        self.small = shrink(self.images.cpu()).to(device)

    def inputs(self, batch: int, progress: float, recipe: dict) -> tuple[Tensor, ...]:
        """What UpscalerLoss takes; `batch` counts crops of the first side, larger ones are fewer.

        Returns x0 and enlarged (B, 3, side, side), noise for both, t (B,), level (B,), ids and
        mask (B, 77).
        """
        sides = recipe["crop_sides"]
        side = [side for begins, side in sides if begins <= progress][-1]
        count = max(2, batch * sides[0][1] ** 2 // side**2)
        i = torch.multinomial(self.weights, count, replacement=True, generator=self.generator)
        j = self.randint(self.ids.shape[1], count)
        large = composite(self.images[i], self.colours[i, j])
        low = enlarge(composite(self.small[i], self.colours[i, j]), (SIZE_2, SIZE_2))
        corners = self.busy_corners(large, side)
        x0, low = cut(large, corners, side), cut(low, corners, side)
        uniform = torch.rand(count, device=self.device, generator=self.generator)
        level = (uniform.square() * recipe["level_below"]).long()  # a quarter of them from half on
        half = count // 2
        t = [self.randint(T, count - half), self.randint(recipe["t_mostly_below"], half)]
        texts = self.texts(i, j, recipe["drop_prompt"])
        return x0, low, self.noise(x0), self.noise(low), torch.cat(t), level, *texts

    def busy_corners(self, pictures: Tensor, side: int) -> Tensor:
        """(B, 2), first rows and columns: of TRIED random crops the one that shows most."""
        tried = [self.randint(SIZE_2 - side + 1, 2 * len(pictures)) for _ in range(TRIED)]
        corners = torch.stack([c.view(-1, 2) for c in tried])  # (TRIED, B, 2)
        seen = [cut(pictures, c, side).flatten(1).std(1) for c in corners]
        best = torch.stack(seen).argmax(0)
        return corners[best, torch.arange(len(pictures), device=self.device)]


def cut(pictures: Tensor, corners: Tensor, side: int) -> Tensor:
    """(B, C, H, W) -> (B, C, side, side): of each picture the square that begins at its corner."""
    steps = torch.arange(side, device=pictures.device)
    rows, columns = (corners[:, axis, None] + steps for axis in (0, 1))
    batch = torch.arange(len(pictures), device=pictures.device)[:, None, None, None]
    channel = torch.arange(pictures.shape[1], device=pictures.device)[None, :, None, None]
    return pictures[batch, channel, rows[:, None, :, None], columns[:, None, None, :]]


def shrink(images: Tensor) -> Tensor:
    """(N, 256, 256, 4) -> (N, 64, 64, 4), uint8, by the filter of stage I's training pictures."""

    def one(image: Tensor) -> Tensor:
        small = frame(Image.fromarray(image.numpy(), "RGBA"), 0.0, SIZE)
        return torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)

    with ThreadPoolExecutor() as pool:
        return torch.stack(list(pool.map(one, images))).view(-1, SIZE, SIZE, 4)


class UpscalerLoss(HybridLoss):
    """The loss of stage I for a network that also sees the small picture, noised to its level."""

    def forward(self, x0, low, eps, low_eps, t, level, ids, mask) -> dict[str, Tensor]:
        abar, level_abar = (self.abars[i][:, None, None, None] for i in (t, level))
        x_t = forward_process(x0, abar, eps)
        seen = forward_process(low, level_abar, low_eps)
        cond = self.unet.prepare(self.encoder(ids, mask), level)
        weight = ((1 - abar) / abar).sqrt().clamp(max=WEIGHT_LIMIT)
        answer = self.unet(torch.cat([x_t, seen], 1), t, cond)
        return self.losses(x_t, x0, t, eps, answer, weight)


class UpscalerRun(Run):
    """A training run whose text encoder is the shipped one and does not move."""

    def build(self, recipe: dict) -> UpscalerLoss:
        self.unet = UNet(UNetConfig.from_dict(recipe["unet"]))
        config = json.loads((WEIGHTS / "text_encoder" / "config.json").read_text(encoding="utf-8"))
        self.encoder = T5Encoder(T5Config.from_dict(config)).requires_grad_(False)
        self.encoder.load_state_dict({k: v.float() for k, v in load_exported(WEIGHTS)[1].items()})
        start_from_zero(self.unet)
        start_as_the_small_picture(self.unet)
        return UpscalerLoss(self.unet, self.encoder, recipe["coarse_weight"])


@torch.no_grad()
def start_as_the_small_picture(unet: UNet) -> None:
    """Let the first answer be: x0 is the small picture. Learning begins at that, not at nothing.

    eps is then the difference of x_t and what is shown beside it, at unit size, and that is what
    the last norm makes of the difference if it comes through: from conv_in by the outermost skip,
    once as it is and once negated, so that its mean is 0 and gelu(a) - gelu(-a) = a.
    """
    same, half = torch.eye(3), unet.config.block_out_channels[0] // unet.config.norm_num_groups
    last = unet.up_blocks[-1].resnets[-1]
    unet.conv_in.weight[:6] = 0
    unet.conv_in.bias[:6] = 0
    for rows, sign in ((slice(0, 3), 1), (slice(3, 6), -1)):
        unet.conv_in.weight[rows, :3, 1, 1] = sign * same
        unet.conv_in.weight[rows, 3:, 1, 1] = -sign * same
        unet.conv_out.weight[:3, rows, 1, 1] = sign * same * (6 / half) ** 0.5
    width = last.conv_shortcut.out_channels
    last.conv_shortcut.weight[:half] = 0
    last.conv_shortcut.bias[:half] = 0
    last.conv_shortcut.weight[:6, width : width + 6, 0, 0] = torch.eye(6) * last.divisor
