"""DeepFloyd's UNet: the timestep's code, pooled text, attention with text keys, the ResBlock."""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F

from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.expect import close, equal
from minidiff.grade.inputs import fill, values

FILE = "minidiff/deepfloyd/unet.py"
CONFIG = SimpleNamespace(  # trials draw others: see settings
    attention_head_dim=4,
    cross_attention_dim=32,
    norm_num_groups=4,
    norm_eps=1e-5,
    embed_dim=10,
    only_cross_attention=False,
    resnet_out_scale_factor=1.0,
)


def settings(draw, **options) -> SimpleNamespace:
    """CONFIG with some of its fields drawn, each from its options."""
    drawn = {name: draw.choice(name, values_) for name, values_ in options.items()}
    return SimpleNamespace(**vars(CONFIG) | drawn)


# --- the timestep -------------------------------------------------------------------------------

sinusoid = Exercise(
    "timestep_embedding",
    "A.0",
    "The position code of the timesteps t (B,), as (B, dim) in float32: cos(t f_i) for the first "
    "half, sin(t f_i) for the second, f_i = 10000^(-i / half), i from 0. A t that is a float may "
    "lie between two timesteps.",
    [Part(FILE, "sinusoid")],
)


@sinusoid.check("cosines first, then sines")
def sinusoid_zero(code):
    got = code.sinusoid(torch.tensor([0]), 8)
    close(got, torch.tensor([[1.0] * 4 + [0.0] * 4]), "the code of t = 0")


@sinusoid.check("frequencies are 10000^(-i / half): from 1 down, short of 1/10000")
def sinusoid_frequencies(code):
    got = code.sinusoid(torch.tensor([3, 700]), 8).double()
    for row, t in enumerate((3, 700)):
        angles = [t * 10000 ** (-i / 4) for i in range(4)]
        due = torch.tensor([math.cos(a) for a in angles] + [math.sin(a) for a in angles])
        close(got[row], due, f"the code of t = {t}", 1e-4)


@sinusoid.trial
def sinusoid_trial(code, draw):
    kind = draw.choice("dtype of t", (torch.int64, torch.float32, torch.float16))
    ts = draw.wholes if kind == torch.int64 else draw.numbers  # flow's times lie between
    t = torch.tensor(ts("t", draw.batch, 0, 999), dtype=kind)
    return {"the code": code.sinusoid(t, draw.choice("dim", (8, 12, 64, 6)))}


# --- pooled text --------------------------------------------------------------------------------

pool = Exercise(
    "text_pooling",
    "A.0",
    "One query, the mean of all tokens of text (B, L, D) plus the positional embedding, attends to "
    "itself and to the tokens: its key comes first. The result is the query's own (B, D).",
    [Part(FILE, "AttentionPool", ("forward",))],
)


@pool.check("the query is the mean of all tokens, and attends to itself too")
def pool_plain(code):
    module, text = fill(code.AttentionPool(2, 6)), values("text", 2, 5, 6)
    mean = text.mean(1, keepdim=True) + module.positional_embedding
    tokens = torch.cat([mean, text], 1)
    due = plain_attention(module.q_proj(mean), module.k_proj(tokens), module.v_proj(tokens), 2)
    close(module(text), due[:, 0], "the pooled text")


@pool.check("the order of the tokens does not matter")
def pool_order(code):
    module, text = fill(code.AttentionPool(2, 6)), values("text", 2, 5, 6)
    close(module(text.flip(1)), module(text), "the pooled text, read backwards,")


@pool.trial
def pool_trial(code, draw):
    heads, width = draw.choice("heads", (1, 2, 4)), 2 * draw.whole("half a head", 1, 3)
    module = fill(code.AttentionPool(heads, heads * width)).to(draw.dtype)
    text = 2 * draw.tensor("text", draw.batch, draw.height, heads * width, grad=True) + 0.5
    return {"the pooled text": module(text)}


def plain_attention(q, k, v, heads):
    """Softmax attention written out; q (B, Q, C), k and v (B, K, C)."""
    width, parts = q.shape[-1] // heads, []
    for h in range(heads):
        cut = slice(h * width, (h + 1) * width)
        scores = q[..., cut] @ k[..., cut].transpose(1, 2) / math.sqrt(width)
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        parts.append(weights @ v[..., cut])
    return torch.cat(parts, dim=-1)


# --- attention ----------------------------------------------------------------------------------

attention = Exercise(
    "added_kv_attention",
    "A.0",
    "Self-attention over the pixels of x (B, C, H, W), with the prompt's tokens as extra keys and "
    "values, text first. text_keys_values norms the projected text (B, L, X) over groups of its "
    "channels, all L positions together, and makes keys and values (B, L, C). forward norms "
    "the picture, attends over [text, pixels] in one softmax, and adds the result to x.",
    [Part(FILE, "Attention", ("text_keys_values", "forward"))],
)


@attention.check("the picture is added back")
def attention_residual(code):
    module = fill(code.Attention(8, CONFIG))
    with torch.no_grad():
        module.to_out[0].weight.zero_()
        module.to_out[0].bias.zero_()
    x = values("x", 2, 8, 3, 4)
    text = module.text_keys_values(values("text", 2, 5, 32))
    close(module(x, *text), x, "the result of a layer whose last linear is 0")


@attention.trial
def attention_trial(code, draw):
    """One to three heads, texts of one to seven tokens, pictures that are not square."""
    heads, length = draw.choice("heads", (1, 2, 3)), draw.whole("tokens", 1, 7)
    config = settings(
        draw, attention_head_dim=(4, 8), only_cross_attention=(False, True), norm_num_groups=(4, 2)
    )
    width = heads * config.attention_head_dim
    module = fill(code.Attention(width, config)).to(draw.dtype)
    text = draw.tensor("text", draw.batch, length, 32, grad=True)
    keys, tokens = module.text_keys_values(2 * text + 1)
    x = 2 * draw.picture("x", width, grad=True) + 1
    return {"the text's keys": keys, "the text's values": tokens,
            "the result": module(x, keys, tokens)}  # fmt: skip


# --- ResBlock -----------------------------------------------------------------------------------

block = Exercise(
    "resblock",
    "A.0",
    "norm_gelu: the norm; times 1 + scale, plus shift, where they are given; gelu. ResBlock: "
    "norm_gelu with norm1, (resample both branches), conv1; norm_gelu with norm2, steered by what "
    "time_emb_proj makes of emb (B, E), scale in the first half; conv2; plus the input, through "
    "conv_shortcut where the widths differ; all divided by self.divisor. 'down' averages 2x2 "
    "pixels, 'up' repeats them.",
    [Part(FILE, "norm_gelu"), Part(FILE, "ResBlock", ("forward",))],
)


def run_block(code, c_in=8, c_out=12, resample=None):
    module = fill(code.ResBlock(c_in, c_out, CONFIG, resample))
    return module, module(values("x", 2, c_in, 4, 4), values("emb", 2, 10))


def due_block(module, resample):
    """The block written out."""
    x = values("x", 2, module.norm1.num_channels, 4, 4)
    h = F.gelu(module.norm1(x))
    if resample == "down":
        h, x = (z.unflatten(2, (2, 2)).unflatten(4, (2, 2)).mean((3, 5)) for z in (h, x))
    if resample == "up":
        h, x = (z.repeat_interleave(2, 2).repeat_interleave(2, 3) for z in (h, x))
    half = module.conv1.out_channels
    steer = module.time_emb_proj(values("emb", 2, 10))
    h = module.norm2(module.conv1(h))
    h = h + h * steer[:, :half, None, None] + steer[:, half:, None, None]
    shortcut = getattr(module, "conv_shortcut", lambda x: x)
    return shortcut(x) + module.conv2(F.gelu(h))


@block.check("with all weights of conv2 at 0, the input comes through")
def block_residual(code):
    module = fill(code.ResBlock(8, 8, CONFIG))
    with torch.no_grad():
        module.conv2.weight.zero_()
        module.conv2.bias.zero_()
    x = values("x", 2, 8, 4, 4)
    close(module(x, values("emb", 2, 10)), x, "the result")


@block.check("halving and doubling, on both branches")
def block_resample(code):
    for resample, side in (("down", 2), ("up", 8)):
        module, got = run_block(code, 8, 8, resample)
        equal(tuple(got.shape), (2, 8, side, side), f"the shape after {resample!r}")
        close(got, due_block(module, resample), f"the result of {resample!r}")


@block.trial
def norm_gelu_trial(code, draw):
    norm, x = fill(torch.nn.GroupNorm(2, 4)).to(draw.dtype), 2 * draw.picture("x", 4) + 1
    steer = [draw.tensor(n, draw.batch, 4, 1, 1) for n in ("scale", "shift")]
    steer = steer if draw.choice("steered", (True, False)) else []
    return {"norm_gelu": code.norm_gelu(norm, x, *steer)}


@block.trial
def block_trial(code, draw):
    c_in, c_out = draw.choice("channels", ((8, 12), (8, 8), (4, 8)))
    resample = draw.choice("resample", (None, "down", "up"))
    config = settings(draw, embed_dim=(10, 7), resnet_out_scale_factor=(1.0, 2**0.5, 3.0))
    module = fill(code.ResBlock(c_in, c_out, config, resample)).to(draw.dtype)
    x = 2 * draw.tensor("x", draw.batch, c_in, 4, 6, grad=True) + 0.5
    emb = draw.tensor("emb", draw.batch, config.embed_dim, grad=True)
    return {"the result": module(x, emb)}
