"""Steps recorded as CUDA graphs give what plain calls give."""

import pytest
import torch
from by_rule import fill, unet_inputs
from configs import UNETS
from tiny_checkpoint import write_tiny_checkpoint

import minidiff
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.errors import UserError
from minidiff.fast import fused
from minidiff.fast.graphed import PLAIN_CALLS, GraphedUNet
from minidiff.guidance import CFG
from minidiff.noise import SeededNoise
from minidiff.sampling import denoise, last
from minidiff.schedule import course_pairs, strided_timesteps

PROMPTS = ["a cat", "a dog", "a bell"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return minidiff.load(write_tiny_checkpoint(tmp_path_factory.mktemp("tiny")), "cuda")


@pytest.fixture(scope="module")
def cond(model):
    with torch.no_grad():
        return model.unet.prepare(model.encode(PROMPTS))


def test_compiling_is_for_cuda_only(tmp_path):
    with pytest.raises(UserError, match="CUDA devices only"):
        minidiff.load(write_tiny_checkpoint(tmp_path), "cpu", compile=True)


@pytest.mark.gpu
@torch.no_grad()
def test_replayed_calls_equal_plain_ones(model, cond):
    fast = GraphedUNet(model.unet, fuse=False)
    conds = [cond, cond.take([2, 1, 0])]
    for call in range(PLAIN_CALLS + 4):  # other pictures, times and prompts in every call
        x = torch.randn(3, 3, 64, 64, device="cuda", dtype=model.dtype)
        t, asked = 990 - 30 * call, conds[call % 2]
        torch.testing.assert_close(fast(x, t, asked), model.unet(x, t, asked))
    assert len(fast.recordings) == 1


@pytest.mark.gpu
@torch.no_grad()
def test_an_answer_survives_the_next_call(model, cond):
    fast = GraphedUNet(model.unet, fuse=True)
    x = torch.randn(3, 3, 64, 64, device="cuda", dtype=model.dtype)
    answers = [fast(x, 500, cond) for _ in range(PLAIN_CALLS + 1)]
    kept = answers[-1].clone()
    fast(-x, 100, cond)
    assert torch.equal(answers[-1], kept)


@pytest.mark.gpu
@torch.no_grad()
@pytest.mark.parametrize("ways", [{"fuse": False}, {"fuse": True}, {"compile": True}], ids=str)
def test_pictures_are_the_same_whoever_calls(model, cond, ways):
    def walk(unet):
        noise = SeededNoise([0, 1, 2], device="cuda")
        guidance = CFG(cond, model.unet.prepare(model.encode([""] * 3)), 3.0)
        pairs = course_pairs(strided_timesteps(990, 90))
        return last(denoise(unet, model.schedule, noise.draw(), pairs, guidance, noise))

    plain, fast = walk(model.unet), walk(GraphedUNet(model.unet, **ways))
    assert float((fast - plain).norm() / plain.norm()) < 1e-2  # fp16


def test_where_triton_does_not_work_norms_stay_plain_and_a_note_says_so():
    pytest.importorskip("triton")
    config = UNETS["one level"]
    unet = fill(UNet(UNetConfig.from_dict(config)))
    x, t, text = unet_inputs(config).values()
    cond = unet.prepare(text)
    with pytest.warns(UserWarning, match="group norms run unfused"):
        assert fused.fuse_checked(unet, x, t, cond) is unet
