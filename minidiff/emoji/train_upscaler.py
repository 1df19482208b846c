"""Trains the demo's second stage: from 64 to 256 pixels, on crops, so that a CPU is enough.

    make train-emoji STAGE=2 SECONDS=4000

The run is train.py's: the same loop, losses, optimizers and files. Different are the batches. The
network is convolutional but for text, so it can learn on pieces of 64 x 64 pixels, a sixteenth of
the work of a whole picture, and see whole pictures only at the end, when its norms get used to
them (recipe-256.json, crop_sides). The low-resolution picture is shrunk as stage I's training
pictures are, enlarged as the pipeline does it, noised to a level of its own, and only then cut.
The text encoder is the demo's, and stays as it is.

Only timesteps below t_below are learned: what is coarser than that the small picture says already,
and a walk that begins at the enlarged small picture, noised, needs no more. The error's weight,
sqrt((1 - abar) / abar), lies between that of eps and that of x0.

Sources: Saharia et al. 2021 (SR3), arXiv 2104.07636; noise augmentation, Ho et al. 2021, arXiv
2106.15282; crops, Saharia et al. 2022 (Imagen), arXiv 2205.11487; beginning late, Chung et al. 2022
(CCDF), arXiv 2112.05146.
"""

import json
import random
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from minidiff.deepfloyd.t5 import T5Config, T5Encoder
from minidiff.deepfloyd.tokenizer import Tokenizer
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.emoji.captions import draw_caption, trainable
from minidiff.emoji.data import PACKED_2, SIZE, SIZE_2, composite, frame, open_emoji
from minidiff.emoji.export import WEIGHTS, load_exported
from minidiff.emoji.prompts import read_prompts
from minidiff.emoji.train import HybridLoss, Run, family_weights, start_from_zero
from minidiff.equations import forward_process
from minidiff.stage2.cascade import enlarge

RECIPE_2 = Path(__file__).with_name("recipe-256.json")
TRIED = 2  # places for each crop: the busiest is taken, or half of all would be plain white


class CropBatches:
    """Draws crops of pictures at 256 pixels, each with its place in the enlarged small picture.

    Pictures are read when they are drawn, and captions made: a run begins at once.
    """

    def __init__(self, recipe: dict, device: torch.device, seed: int, packed: Path = PACKED_2):
        self.read, self.records = open_emoji(packed)
        prompts = read_prompts()
        self.kept = trainable(self.records, prompts)
        self.barred = {pair["code"]: frozenset([pair["colour"]]) for pair in prompts["pairs"]}
        self.weights = family_weights([self.records[i] for i in self.kept])
        self.tokenizer = Tokenizer.from_folder(WEIGHTS)
        self.recipe, self.device = recipe, device
        self.generator, self.rng = torch.Generator().manual_seed(seed), random.Random(seed)

    def inputs(self, batch: int, progress: float, recipe: dict) -> tuple[Tensor, ...]:
        """What UpscalerLoss takes; `batch` counts crops of the first side, larger ones are fewer.

        Returns x0 and enlarged (B, 3, side, side), noise for both, t (B,), level (P,), ids and
        mask (P, 77), and rows (B,): which of the P pictures each crop is of.
        """
        sides = recipe["crop_sides"]
        side = [side for begins, side in sides if begins <= progress][-1]
        count = max(2, batch * sides[0][1] ** 2 // side**2)
        images, colours, ids, mask = self.pictures(max(2, count // recipe["crops_of_a_picture"]))
        rows = torch.arange(count) % len(images)
        large = enlarge(composite(shrink(images), colours), (SIZE_2, SIZE_2))
        places = [self.place(large[row], side) for row in rows]
        x0 = composite(torch.stack([images[i][p] for i, p in zip(rows, places)]), colours[rows])
        low = torch.stack([large[i][:, r, c] for i, (r, c) in zip(rows, places)])
        uniform = torch.rand(len(images), generator=self.generator)
        level = (uniform.square() * recipe["level_below"]).long()  # a quarter of them from half on
        t = torch.randint(recipe["t_below"], (count,), generator=self.generator)
        inputs = (x0, low, self.noise(x0), self.noise(low), t, level, ids, mask, rows)
        return tuple(x.to(self.device) for x in inputs)

    def pictures(self, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """RGBA (P, 256, 256, 4), backgrounds (P, 3), ids and mask (P, 77) of captions, some ""."""
        drawn = torch.multinomial(self.weights, count, True, generator=self.generator)
        picked = self.kept[drawn].tolist()
        images = torch.stack([self.read(n) for n in picked])
        texts, colours = [], []
        for record in (self.records[n] for n in picked):
            text, rgb = draw_caption(record, self.barred.get(record.code, frozenset()), self.rng)
            texts.append("" if self.rng.random() < self.recipe["drop_prompt"] else text)
            colours.append(rgb)
        return images, torch.tensor(colours, dtype=torch.uint8), *self.tokenizer(texts)

    def place(self, picture: Tensor, side: int) -> tuple[slice, slice]:
        """Rows and columns of a crop: of TRIED random ones the one in which most is to be seen."""
        high = SIZE_2 - side + 1
        corners = torch.randint(high, (TRIED, 2), generator=self.generator).tolist()
        places = [(slice(r, r + side), slice(c, c + side)) for r, c in corners]
        return max(places, key=lambda place: float(picture[(slice(None), *place)].std()))

    def noise(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator)


def shrink(images: Tensor) -> Tensor:
    """(N, 256, 256, 4) -> (N, 64, 64, 4), uint8, by the filter of stage I's training pictures."""
    small = [frame(Image.fromarray(image.numpy(), "RGBA"), 0.0, SIZE) for image in images]
    numbers = [torch.frombuffer(bytearray(s.tobytes()), dtype=torch.uint8) for s in small]
    return torch.stack(numbers).view(-1, SIZE, SIZE, 4)


class UpscalerLoss(HybridLoss):
    """The loss of stage I for a network that also sees the small picture, noised to its level."""

    def forward(self, x0, low, eps, low_eps, t, level, ids, mask, rows) -> dict[str, Tensor]:
        x_t = forward_process(x0, self.abars[t][:, None, None, None], eps)
        seen = forward_process(low, self.abars[level][rows][:, None, None, None], low_eps)
        cond = self.unet.prepare(self.encoder(ids, mask), level).take(rows)
        abar = self.abars[t][:, None, None, None]
        weight = ((1 - abar) / abar).sqrt()
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
