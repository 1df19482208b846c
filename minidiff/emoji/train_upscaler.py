"""Trains the demo's second stage: from 64 to 256 pixels, on crops, so that a CPU is enough.

    make train-emoji STAGE=2 SECONDS=4000

The run is train.py's: the same loop, losses, optimizers and files. Different are the batches. The
network is convolutional but for text, so it can learn on pieces of 64 x 64 pixels, a sixteenth of
the work of a whole picture, and see whole pictures only at the end, when its norms get used to
them (recipe-256.json, crop_sides). The low-resolution picture is shrunk as stage I's training
pictures are, enlarged as the pipeline does it, noised to a level of its own, and only then cut.
The text encoder is the demo's, and stays as it is.

Sources: Saharia et al. 2021 (SR3), arXiv 2104.07636; noise augmentation, Ho et al. 2021, arXiv
2106.15282; training on crops, as Imagen's upscalers, arXiv 2205.11487 section 2.5.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from minidiff.deepfloyd.t5 import T5Config, T5Encoder
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.emoji.data import PACKED_2, SIZE, SIZE_2, composite, frame
from minidiff.emoji.export import WEIGHTS, load_exported
from minidiff.emoji.train import EmojiBatches, HybridLoss, Run, T, start_from_zero
from minidiff.equations import forward_process

RECIPE_2 = Path(__file__).with_name("recipe-256.json")
CALM = 2  # places tried for each crop: the busiest is taken, or half of all would be plain white


class CropBatches(EmojiBatches):
    """Draws crops of pictures at 256 pixels, each with its place in the enlarged small picture."""

    def __init__(self, recipe: dict, device: torch.device, seed: int, packed: Path = PACKED_2):
        super().__init__(recipe, device, seed, packed)
        self.small = shrink(self.images)
        self.crops = recipe["crops_of_a_picture"]
        self.sides = recipe["crop_sides"]

    def inputs(self, batch: int, progress: float, recipe: dict) -> tuple[Tensor, ...]:
        """What UpscalerLoss takes; `batch` counts crops of the first side, larger ones are fewer.

        Returns x0 and upscaled (B, 3, side, side), noise for both, t (B,), level (P,), ids and
        mask (P, 77), and rows (B,): which of the P pictures each crop is of.
        """
        side = [side for begins, side in self.sides if begins <= progress][-1]
        count = max(2, batch * self.sides[0][1] ** 2 // side**2)
        pictures = max(2, count // self.crops)
        rows = torch.arange(count, device=self.device) % pictures
        i = torch.multinomial(self.weights, pictures, replacement=True, generator=self.generator)
        j = self.randint(self.ids.shape[1], pictures)
        upscaled = enlarge(composite(self.small[i], self.colours[i, j]))
        places = [self.place(upscaled[row], side) for row in rows]
        pieces = torch.stack([self.images[i[row]][place] for row, place in zip(rows, places)])
        x0 = composite(pieces, self.colours[i, j][rows])
        low = torch.stack([upscaled[row][:, r, c] for row, (r, c) in zip(rows, places)])
        ids, mask = self.texts(i, j, recipe["drop_prompt"])
        uniform = torch.rand(pictures, device=self.device, generator=self.generator)
        level = (uniform.square() * T).long()  # the half of them below 250
        t = self.randint(T, count)
        return x0, low, self.noise(x0), self.noise(low), t, level, ids, mask, rows

    def place(self, picture: Tensor, side: int) -> tuple[slice, slice]:
        """Rows and columns of a crop: of CALM random ones the one in which most is to be seen."""
        corners = self.randint(SIZE_2 - side + 1, 2 * CALM).view(-1, 2).tolist()
        places = [(slice(r, r + side), slice(c, c + side)) for r, c in corners]
        return max(places, key=lambda place: float(picture[(slice(None), *place)].std()))


def shrink(images: Tensor) -> Tensor:
    """(N, 256, 256, 4) -> (N, 64, 64, 4), uint8, by the filter of stage I's training pictures."""
    small = [frame(Image.fromarray(image.numpy(), "RGBA"), 0.0, SIZE) for image in images.cpu()]
    stacked = torch.stack(
        [torch.frombuffer(bytearray(s.tobytes()), dtype=torch.uint8) for s in small]
    )
    return stacked.view(-1, SIZE, SIZE, 4).to(images.device)


def enlarge(low: Tensor, side: int = SIZE_2) -> Tensor:
    """(B, 3, 64, 64) -> (B, 3, side, side), as the official pipeline enlarges stage I's picture."""
    return F.interpolate(low, (side, side), mode="bilinear", align_corners=True)


class UpscalerLoss(HybridLoss):
    """The loss of stage I for a network that also sees the small picture, noised to its level."""

    def forward(self, x0, low, eps, low_eps, t, level, ids, mask, rows) -> dict[str, Tensor]:
        x_t = forward_process(x0, self.abars[t][:, None, None, None], eps)
        seen = forward_process(low, self.abars[level][rows][:, None, None, None], low_eps)
        cond = self.unet.prepare(self.encoder(ids, mask), level).take(rows)
        return self.losses(x_t, x0, t, eps, self.unet(torch.cat([x_t, seen], 1), t, cond))


class UpscalerRun(Run):
    """A training run whose text encoder is the shipped one and does not move."""

    def build(self, recipe: dict) -> UpscalerLoss:
        self.unet = UNet(UNetConfig.from_dict(recipe["unet"]))
        config = json.loads((WEIGHTS / "text_encoder" / "config.json").read_text(encoding="utf-8"))
        self.encoder = T5Encoder(T5Config.from_dict(config)).requires_grad_(False)
        self.encoder.load_state_dict({k: v.float() for k, v in load_exported(WEIGHTS)[1].items()})
        start_from_zero(self.unet)
        return UpscalerLoss(self.unet, self.encoder, recipe["coarse_weight"])
