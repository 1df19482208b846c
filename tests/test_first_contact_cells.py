"""The course's own cells: any dtype, shape and kind is made right, or refused in one sentence."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_checkpoint import write_tiny_checkpoint

import minidiff
from minidiff import course
from minidiff.errors import UserError
from minidiff.noise import SeededNoise
from minidiff.sampling import denoise, keep_outside, noised_start
from minidiff.schedule import course_pairs, pipeline_pairs


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny")
    return minidiff.load(folder, "cpu", "float32")


@pytest.fixture(scope="module")
def cell(model):
    """cell(**others) -> the course's call with some arguments in another form."""
    usual = {
        "im_noisy": torch.rand(1, 3, 64, 64) * 2 - 1,
        "i_start": 31,
        "prompt_embeds": model.encode(["a cat"]),
        "uncond_prompt_embeds": model.encode([""]),
        "timesteps": None,
    }

    def call(seeds=(180,), **others):
        arguments = {**usual, **others}
        return course.iterative_denoise_cfg(model, noise=SeededNoise(list(seeds)), **arguments)

    call.usual, call.result = usual, call()
    return call


AS_GOOD = {
    "one picture": lambda u: {"im_noisy": u["im_noisy"][0]},
    "double": lambda u: {"im_noisy": u["im_noisy"].double()},
    "numpy": lambda u: {"im_noisy": u["im_noisy"].numpy()},
    "channels last": lambda u: {"im_noisy": u["im_noisy"][0].permute(1, 2, 0).numpy()},
    "a list": lambda u: {"im_noisy": [u["im_noisy"][0]]},
    "start as a tensor": lambda u: {"i_start": torch.tensor(31)},
    "start as a float": lambda u: {"i_start": 31.0},
    "start of numpy": lambda u: {"i_start": np.int64(31)},
    "timesteps as a tensor": lambda u: {"timesteps": torch.arange(990, -1, -30)},
    "timesteps as an array": lambda u: {"timesteps": np.arange(990, -1, -30)},
    "timesteps as a range": lambda u: {"timesteps": range(990, -1, -30)},
    "timesteps as floats": lambda u: {"timesteps": [float(t) for t in range(990, -1, -30)]},
    "prompt as text": lambda u: {"prompt_embeds": "a cat", "uncond_prompt_embeds": ""},
    "states without batch": lambda u: {"prompt_embeds": u["prompt_embeds"][0]},
    "states as an array": lambda u: {"prompt_embeds": u["prompt_embeds"].numpy()},
}


@pytest.mark.parametrize("name", AS_GOOD)
def test_other_forms_give_the_same_picture(cell, name):
    drawn = cell(**AS_GOOD[name](cell.usual))
    torch.testing.assert_close(drawn.float(), cell.result, atol=1e-3, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_embeddings_on_a_cpu(cell, dtype):
    half = {k: cell.usual[k].to(dtype) for k in ("prompt_embeds", "uncond_prompt_embeds")}
    torch.testing.assert_close(cell(**half), cell.result, atol=0.1, rtol=0)


def test_bytes_and_pil_are_the_picture(cell):
    levels = ((cell.usual["im_noisy"] + 1) * 127.5).round().to(torch.uint8)
    pil = Image.fromarray(levels[0].permute(1, 2, 0).numpy())
    expected = cell(im_noisy=levels.float() / 127.5 - 1)
    torch.testing.assert_close(cell(im_noisy=levels), expected)
    torch.testing.assert_close(cell(im_noisy=pil), expected)
    torch.testing.assert_close(cell(im_noisy=levels[0].permute(1, 2, 0).int().numpy()), expected)


REFUSED = {
    "float bytes": ({"im_noisy": torch.full((1, 3, 64, 64), 200.0)}, "x / 127.5 - 1"),
    "not a number": ({"im_noisy": torch.full((1, 3, 64, 64), float("nan"))}, "reaches nan"),
    "four channels": ({"im_noisy": torch.zeros(1, 4, 64, 64)}, r"must be \(B, 3, H, W\)"),
    "a grey one": ({"im_noisy": torch.zeros(64, 64)}, r"must be \(B, 3, H, W\)"),
    "a path": ({"im_noisy": "photo.png"}, "not the text 'photo.png'"),
    "nothing": ({"im_noisy": None}, "NoneType"),
    "complex": ({"im_noisy": torch.zeros(1, 3, 64, 64, dtype=torch.complex64)}, "plain numbers"),
    "half a step": ({"i_start": 30.5}, "must be whole"),
    "too many prompts": ({"prompt_embeds": ["a", "b", "c"]}, "give one prompt"),
    "a dict": ({"prompt_embeds": {"a cat": 1}}, "not a dict"),
    "other width": ({"prompt_embeds": torch.zeros(1, 77, 48)}, r"must be \(prompts, tokens, 32\)"),
    "three seeds": ({"seeds": [1, 2, 3]}, "a seed for each picture"),
    "one seed for three": ({"im_noisy": torch.zeros(3, 3, 64, 64)}, "a seed for each picture"),
    "rising timesteps": ({"timesteps": torch.arange(0, 990, 30)}, "must fall"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_said_in_a_sentence(cell, name):
    change, message = REFUSED[name]
    with pytest.raises(UserError, match=message):
        cell(**change)


T = [250, 250.0, torch.tensor(250), torch.tensor([250.0]), np.array([250]), np.int32(250), [250]]


@pytest.mark.parametrize("t", T)
def test_a_timestep_of_any_kind(model, cell, t):
    im = cell.usual["im_noisy"]
    expected = course.forward(model, im, 250, SeededNoise([1]))
    assert torch.equal(course.forward(model, im, t, SeededNoise([1])), expected)
    states = cell.usual["prompt_embeds"]
    with torch.no_grad():
        assert torch.equal(model.unet(im, t, states), model.unet(im, 250, states))


@pytest.mark.parametrize("t", [0.25, 1000, -1, [1, 2], "250", True, None, torch.tensor(250.5)])
def test_no_timestep(model, cell, t):
    with pytest.raises(UserError, match="timestep"):
        course.forward(model, cell.usual["im_noisy"], t, SeededNoise([1]))
    if t != 0.25:  # the UNet itself takes one between two timesteps: flow matching asks for it
        with pytest.raises(UserError, match="timestep"):
            model.unet(cell.usual["im_noisy"], t, cell.usual["prompt_embeds"])


def test_noise_is_a_seeded_noise(model, cell):
    for noise in (180, None, torch.Generator(), torch.randn(1, 3, 64, 64)):
        with pytest.raises(UserError, match="noise is a SeededNoise"):
            course.forward(model, cell.usual["im_noisy"], 5, noise)
    for seeds in (180, [180], np.array([180]), range(180, 181), torch.tensor(180), 180.0):
        assert torch.equal(SeededNoise(seeds).draw(), SeededNoise([180]).draw())
    with pytest.raises(UserError, match="seeds"):
        SeededNoise([1.5])


def test_a_step_goes_down(model, cell):
    im = cell.usual["im_noisy"]
    with pytest.raises(UserError, match="a step goes down"):
        course.add_variance(model, im, 30, 60, im, SeededNoise([1]))
    given = course.add_variance(model, im.half(), torch.tensor(60), 30.0, im[0], SeededNoise([1]))
    expected = course.add_variance(model, im.half().float(), 60, 30, im, SeededNoise([1]))
    assert torch.equal(given, expected)


# --- masks --------------------------------------------------------------------------------------

SQUARE = torch.zeros(64, 64)
SQUARE[16:48, 16:48] = 1
MASKS = {
    "(H, W)": SQUARE,
    "(1, H, W)": SQUARE[None],
    "(H, W, 1)": SQUARE[..., None],
    "(1, 3, H, W)": SQUARE.expand(1, 3, 64, 64),
    "(H, W, 3)": SQUARE[..., None].expand(64, 64, 3).numpy(),
    "truth": SQUARE.bool(),
    "numpy truth": SQUARE.bool().numpy(),
    "bytes": (SQUARE * 255).to(torch.uint8),
    "bytes of 0 and 1": SQUARE.to(torch.uint8),
    "int64": SQUARE.long(),
    "half": SQUARE.half(),
    "PIL": Image.fromarray((SQUARE * 255).byte().numpy()),
    "large PIL": Image.fromarray((SQUARE * 255).byte().numpy()).resize((512, 512), 0),
    "PIL of 0 and 1": Image.fromarray(SQUARE.byte().numpy()),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MASKS)
def test_masks_of_any_kind(model, cell, name):
    im, states = cell.usual["im_noisy"], (cell.usual["prompt_embeds"], "")
    steps = {"timesteps": [60, 30, 0]}
    usual = course.inpaint(model, im, SQUARE[None, None], *states, SeededNoise([1]), **steps)
    assert torch.equal(
        course.inpaint(model, im, MASKS[name], *states, SeededNoise([1]), **steps), usual
    )


@pytest.mark.parametrize(
    "mask",
    [SQUARE[:32], SQUARE * 3, SQUARE * -1, SQUARE * float("nan"), "mask.png", None,
     torch.rand(1, 3, 64, 64), SQUARE.expand(2, 1, 64, 64), SQUARE.short() * 4000],
)  # fmt: skip
def test_no_masks(model, cell, mask):
    with pytest.raises(UserError, match="mask"):
        course.inpaint(model, cell.usual["im_noisy"], mask, "a cat", "", SeededNoise([1]))


# --- the UNet and the loop ----------------------------------------------------------------------


@torch.no_grad()
def test_the_official_way_to_call_the_unet(model, cell):
    x, states = cell.usual["im_noisy"], cell.usual["prompt_embeds"]
    ours = model.unet(x, 500, states)
    t = torch.tensor([500])
    assert torch.equal(model.unet(x, t, encoder_hidden_states=states, return_dict=False)[0], ours)
    assert torch.equal(model.unet(x, t, encoder_hidden_states=states).sample, ours)
    assert torch.equal(model.unet(x, t, states, return_dict=False)[0], ours)
    named = {"cross_attention_kwargs": None}
    assert torch.equal(model.unet(x, t, encoder_hidden_states=states, **named).sample, ours)
    with pytest.raises(UserError, match="has no attention_mask"):
        model.unet(x, t, states, attention_mask=torch.ones(1))
    torch.testing.assert_close(model.unet(x.half(), t, states.half()), ours, atol=0.05, rtol=0.05)
    assert torch.equal(model.unet(x[0].numpy(), 500, states), ours)
    with pytest.raises(UserError, match="is text"):
        model.unet(x, 500, "a cat")
    assert torch.equal(model.scheduler.alphas_cumprod, model.schedule.abars.float())


def test_the_loop_refuses_in_a_sentence(model):
    x, pairs = torch.zeros(2, 3, 64, 64), course_pairs()
    noise = SeededNoise([1])
    for bad in (x.half(), x.numpy(), x.byte()):
        with pytest.raises(UserError, match="float32"):
            next(denoise(model.unet, model.schedule, bad, pairs, None, noise))
    with pytest.raises(UserError):
        noised_start(x.byte(), pairs, [3, 3], model.schedule, SeededNoise([1, 2]))
    with pytest.raises(UserError, match="a seed for each"):
        noise.draw([0, 1])
    with pytest.raises(UserError, match="mask"):
        keep_outside(x, torch.ones(3, 64, 64) * 2, model.schedule, noise)
    assert pipeline_pairs(torch.tensor([500, 0])) == [(500, 0), (0, -1)]


@pytest.mark.parametrize("name", ["float16", "fp16", "half", "torch.float16", torch.float16])
def test_dtype_as_text(model, name):
    assert minidiff.load(model.folder, "cpu", name).dtype == torch.float16


@pytest.mark.parametrize("name", ["float", "int8", torch.int32, "nonsense", 16, "f16"])
def test_no_dtype(model, name):
    if name == "float":
        assert minidiff.load(model.folder, "cpu", name).dtype == torch.float32
        return
    with pytest.raises(UserError, match="dtype is float32"):
        minidiff.load(model.folder, "cpu", name)
