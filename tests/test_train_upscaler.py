"""Training of the second stage: what a crop shows, and that both pictures of it show the same."""

import json

import pytest
import torch

from minidiff.emoji import train as trainer
from minidiff.emoji import train_upscaler as upscaler
from minidiff.emoji.data import Record, composite
from minidiff.stage2.cascade import enlarge

CPU = torch.device("cpu")


@pytest.fixture
def recipe():
    return {**json.loads(upscaler.RECIPE_2.read_text(encoding="utf-8")), "caption_variants": 2}


@pytest.fixture
def batches(monkeypatch, recipe):
    """Three pictures of 256 pixels, smooth, so that a shifted crop would show."""
    names = ("grinning face", "pizza", "rocket")
    records = [Record(f"1f6{i:02}", n, n, (), "objects", "noto") for i, n in enumerate(names)]
    small = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = (enlarge(small, (256, 256)) * 255).to(torch.uint8).permute(0, 2, 3, 1)
    images = torch.cat([images, torch.full_like(images[..., :1], 255)], -1).contiguous()
    monkeypatch.setattr(trainer, "load_emoji", lambda packed: (images, records))
    return upscaler.CropBatches(recipe, CPU, seed=1)


def test_cut_is_slicing():
    pictures = torch.randn(2, 3, 9, 11)
    found = upscaler.cut(pictures, torch.tensor([[0, 7], [5, 2]]), 4)
    assert torch.equal(found[0], pictures[0, :, 0:4, 7:11])
    assert torch.equal(found[1], pictures[1, :, 5:9, 2:6])


def test_of_the_crops_tried_the_busiest_is_taken(batches, monkeypatch):
    pictures = torch.zeros(1, 3, 256, 256)
    pictures[..., 100:110, 100:110] = 1.0
    drawn = iter([torch.tensor([0, 0]), torch.tensor([90, 95])])
    monkeypatch.setattr(batches, "randint", lambda high, n, low=0: next(drawn))
    assert batches.busy_corners(pictures, 64).tolist() == [[90, 95]]


@pytest.mark.parametrize("progress, side, count", [(0.0, 128, 8), (0.9, 256, 2)])
def test_both_pictures_of_a_crop_show_the_same_place(batches, recipe, progress, side, count):
    x0, low, eps, low_eps, t, level, ids, mask = batches.inputs(8, progress, recipe)
    assert x0.shape == low.shape == eps.shape == low_eps.shape == (count, 3, side, side)
    assert not torch.equal(eps, low_eps) and ids.shape == mask.shape == (count, 77)
    assert len(t) == len(level) == count and int(level.max()) < recipe["level_below"]
    assert float((x0 - low).abs().mean()) < 0.05  # another place would be .3 and more away
    assert float((x0.flip(-1) - low).abs().mean()) > 0.15


def test_the_small_picture_is_shrunk_as_the_first_stage_s_are(batches):
    white = torch.full((3, 3), 255, dtype=torch.uint8)
    large, small = (composite(x, white) for x in (batches.images, batches.small))
    assert small.shape == (3, 3, 64, 64)
    means = torch.nn.functional.avg_pool2d(large, 4)
    assert float((small - means).abs().max()) < 0.1  # a Lanczos filter is near a mean here


def test_the_phrase_s_own_pictures_can_be_drawn_more_often():
    sets = {"a": "fluent", "b": "noto", "c": "fluent"}
    animals = [Record(c, c, "animals", (), "animals-nature", art) for c, art in sets.items()]
    plain, often = trainer.picture_weights(animals), trainer.picture_weights(animals, 3.0)
    assert torch.allclose(often / plain, torch.tensor([3.0, 1.0, 3.0]))
