"""T5: distances in buckets, RMS norm, the gated layer, attention without a scale, the mask."""

import math
from types import SimpleNamespace

import torch

from minidiff.grade.exercises import Exercise, Part
from minidiff.grade.expect import close, equal, true
from minidiff.grade.inputs import fill, values

FILE = "minidiff/deepfloyd/t5.py"
CONFIG = SimpleNamespace(
    vocab_size=20,
    d_model=6,
    num_layers=2,
    num_heads=2,
    d_kv=4,
    inner_dim=8,
    d_ff=10,
    relative_attention_num_buckets=32,
    relative_attention_max_distance=128,
    layer_norm_epsilon=1e-6,
)

# --- relative buckets ---------------------------------------------------------------------------

buckets = Exercise(
    "relative_buckets",
    "A.0",
    "The bucket of every (query, key) pair of a text of `length` tokens, (L, L) integers. Half of "
    "the 32 buckets are for keys after the query. Of each half, the first 8 are the distances 0 to "
    "7; the other 8 grow logarithmically, up to max_distance and all beyond.",
    [Part(FILE, "relative_buckets")],
)


@buckets.check("small distances have a bucket each")
def buckets_small(code):
    got = code.relative_buckets(20)
    equal(tuple(got.shape), (20, 20), "the shape for 20 tokens")
    for distance in range(8):
        equal(int(got[10, 10 - distance]), distance, f"the bucket of a key {distance} before")


@buckets.check("keys after the query use the second half")
def buckets_after(code):
    got = code.relative_buckets(20)
    for distance in range(1, 8):
        equal(int(got[10, 10 + distance]), 16 + distance, f"the bucket of a key {distance} after")


@buckets.check("larger distances share buckets, in steps that grow")
def buckets_large(code):
    got = code.relative_buckets(150)
    for distance in (8, 11, 13, 20, 27, 40, 60, 90, 120):
        due = 8 + int(math.log(distance / 8) / math.log(128 / 8) * 8)
        equal(int(got[149, 149 - distance]), due, f"the bucket of a key {distance} before")
        equal(int(got[0, distance]), 16 + due, f"the bucket of a key {distance} after")


@buckets.trial
def buckets_trial(code, draw):
    """Distances at a bucket's very edge are left to either: there a logarithm is rounded."""
    length = draw.choice("length", (77, 140, 5, 40, 1))
    settings = draw.choice(
        "num_buckets, max_distance", ((), (32, 128), (16, 50), (8, 20), (32, 64))
    )
    got, (count, top) = code.relative_buckets(length, *settings), settings or (32, 128)
    exact, distance = count // 4, torch.arange(length)[None] - torch.arange(length)[:, None]
    growth = (distance.abs().clamp(min=1) / exact).log() / math.log(top / exact) * exact
    edge = ((growth - growth.round()).abs() < 1e-4) & (distance.abs() >= exact)
    return {"the buckets": torch.where(edge, 0, got)}


# --- RMS norm -----------------------------------------------------------------------------------

norm = Exercise(
    "rms_norm",
    "A.0",
    "x / rms(x) * weight over the last dimension: no mean is subtracted, there is no bias, eps is "
    "added to the mean square. The statistics are float32 whatever x is; the result has the "
    "weight's dtype.",
    [Part(FILE, "RMSNorm", ("forward",))],
)


def make_norm(code, dim=6, weight=None):
    module = code.RMSNorm(dim, 1e-6)
    with torch.no_grad():
        module.weight.copy_(torch.ones(dim) if weight is None else weight)
    return module


@norm.check("every vector comes out with root mean square 1")
def norm_unit(code):
    x = 3 * values("x", 2, 5, 6).float() + 1
    got = make_norm(code)(x)
    close(got.detach().pow(2).mean(-1), 1.0, "the mean square of a normed vector", 1e-5)


@norm.check("the mean is not subtracted")
def norm_mean(code):
    close(make_norm(code)(torch.full((1, 1, 6), 5.0)), 1.0, "a constant vector, normed,", 1e-5)


@norm.check("the weight multiplies")
def norm_weight(code):
    weight = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    got = make_norm(code, weight=weight)(torch.full((1, 1, 6), 5.0))
    close(got[0, 0], weight, "a constant vector, normed,", 1e-5)


@norm.check("eps is added to the mean square")
def norm_eps(code):
    got = make_norm(code)(torch.full((1, 1, 6), 1e-3))
    close(got, 1 / math.sqrt(2), "a vector of 0.001, normed with eps = 1e-6,", 1e-4)
    close(make_norm(code)(torch.zeros(1, 1, 6)), 0.0, "a vector of zeros, normed,")


@norm.trial
def norm_trial(code, draw):
    """Other widths and eps, ranks of two to four, weights of another dtype than x."""
    dim, eps = draw.whole("dim", 2, 9), draw.choice("eps", (1e-6, 1e-2, 0.5))
    module = code.RMSNorm(dim, eps)
    with torch.no_grad():
        module.weight.copy_(draw.tensor("weight", dim, dtype=torch.float32))
    module = module.to(draw.choice("dtype of the weight", (torch.float32, torch.bfloat16)))
    x = draw.tensor("x", *draw.choice("shape", ((2, 5), (3,), (2, 2, 3))), dim) + 0.7
    return {"the result": module(x if draw.dtype == torch.bfloat16 else x.float())}


# --- gated GELU ---------------------------------------------------------------------------------

gated = Exercise(
    "gated_gelu",
    "A.0",
    "T5 v1.1's feed-forward layer: gelu(wi_0 x) gates wi_1 x, and wo comes last. The GELU is the "
    "tanh form. wo may be kept in float32 where the rest is half precision, so give it its own "
    "dtype.",
    [Part(FILE, "GatedFeedForward", ("forward",))],
)


def plain_gate(code):
    """d_model 4, d_ff 4; wi_0 and wo pass through, wi_1 triples."""
    module = code.GatedFeedForward(SimpleNamespace(d_model=4, d_ff=4)).double()
    with torch.no_grad():
        for layer, factor in ((module.wi_0, 1.0), (module.wi_1, 3.0), (module.wo, 1.0)):
            layer.weight.copy_(factor * torch.eye(4))
    return module


POINTS = torch.tensor([[[-3.0, -0.7, 0.4, 2.0]]], dtype=torch.float64)


def tanh_gelu(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@gated.check("the gate multiplies the other branch")
def gated_product(code):
    got = plain_gate(code)(POINTS)
    due = torch.tensor([tanh_gelu(x) * 3 * x for x in POINTS.flatten().tolist()])
    close(got.flatten(), due, "gelu(x) times 3 x", 2e-2)


@gated.check("the GELU is the tanh form, to the last digits")
def gated_tanh(code):
    got = plain_gate(code)(POINTS)
    due = torch.tensor([tanh_gelu(x) * 3 * x for x in POINTS.flatten().tolist()]).double()
    close(got.flatten(), due, "gelu(x) times 3 x", 1e-6)


@gated.trial
def gated_trial(code, draw):
    sizes = SimpleNamespace(d_model=draw.whole("d_model", 2, 6), d_ff=draw.whole("d_ff", 2, 9))
    module = fill(code.GatedFeedForward(sizes)).to(draw.dtype)
    if draw.dtype == torch.float64 and draw.choice("wo in float32", (False, True)):
        module.wo.float()  # with half precision around it, the result is as coarse as that
    return {"the result": module(draw.tensor("x", draw.batch, draw.height, sizes.d_model))}


# --- attention ----------------------------------------------------------------------------------

attention = Exercise(
    "t5_attention",
    "A.0",
    "T5's self-attention over x (B, L, D). The heads are cut from the width of q, k and v, which "
    "is heads * d_kv and need not be D. bias (B, heads, L, L) is added to the scores. The scores "
    "are not divided by anything.",
    [Part(FILE, "SelfAttention", ("forward",))],
)


def plain_attention(module, x, bias, heads):
    """Softmax attention written out, for a filled module."""
    q, k, v = (layer(x) for layer in (module.q, module.k, module.v))
    width = q.shape[-1] // heads
    parts = []
    for h in range(heads):
        cut = slice(h * width, (h + 1) * width)
        scores = q[..., cut] @ k[..., cut].transpose(1, 2) + bias[:, h]
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        parts.append(weights @ v[..., cut])
    return module.o(torch.cat(parts, dim=-1))


@attention.check("without bias: scores are not divided by sqrt(d)")
def attention_scale(code):
    module, x = fill(code.SelfAttention(CONFIG, False)), values("x", 2, 5, 6)
    bias = torch.zeros(2, 2, 5, 5, dtype=torch.float64)
    close(module(x, bias), plain_attention(module, x, bias, 2), "the result without bias")


@attention.check("a key with a very negative bias is not seen")
def attention_hidden(code):
    module, x = fill(code.SelfAttention(CONFIG, False)), values("x", 1, 5, 6)
    bias = torch.zeros(1, 2, 5, 5, dtype=torch.float64)
    bias[..., 4] = torch.finfo(torch.float64).min
    other = torch.cat([x[:, :4], 2 * x[:, 4:]], dim=1)
    close(module(x, bias)[:, :4], module(other, bias)[:, :4], "the result for another hidden key")


@attention.trial
def attention_trial(code, draw):
    heads, width, dim = (draw.whole(n, 1, 4) for n in ("heads", "d_kv", "half of d_model"))
    config = SimpleNamespace(num_heads=heads, d_model=2 * dim, inner_dim=heads * width)
    config.relative_attention_num_buckets = 8
    module = code.SelfAttention(config, draw.choice("has_relative_bias", (False, True)))
    module, length = fill(module).to(draw.dtype), draw.height
    x = 2 * draw.tensor("x", draw.batch, length, 2 * dim, grad=True)
    bias = 3 * draw.tensor("bias", draw.batch, heads, length, length, grad=True)
    return {"the result": module(x, bias)}


# --- the encoder --------------------------------------------------------------------------------

encoder = Exercise(
    "t5_encoder",
    "A.0",
    "Token ids (B, L) and mask (B, L) to states (B, L, d_model): embed, run all blocks with one "
    "bias, norm at the end. attention_bias looks up block 0's table for the bucket of every pair, "
    "(B, heads, L, L), and makes padded keys, mask 0, as negative as the dtype goes.",
    [Part(FILE, "T5Encoder", ("forward", "attention_bias"))],
)

IDS = torch.tensor([[3, 7, 1, 0, 0], [5, 2, 9, 4, 1]])
MASK = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])


@encoder.check("padded keys are hidden, all others are not")
def encoder_mask(code):
    bias = fill(code.T5Encoder(CONFIG)).attention_bias(MASK)
    equal(tuple(bias.shape), (2, 2, 5, 5), "the shape of the bias")
    true(bool((bias[0, :, :, 3:] < -1e30).all()), "padded keys keep a bias that attention will see")
    true(bool((bias[0, :, :, :3] > -1e3).all()), "keys that are tokens are hidden")


@encoder.check("the bias of a pair is the table's row of its bucket")
def encoder_table(code):
    model = fill(code.T5Encoder(CONFIG))
    bias = model.attention_bias(MASK)
    table = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    close(bias[1, :, 0, 3], table[19], "the bias of query 0 and key 3, bucket 19,")
    close(bias[1, :, 3, 0], table[3], "the bias of query 3 and key 0, bucket 3,")


@encoder.check("what stands in the padding does not change the tokens' states")
def encoder_padding(code):
    model = fill(code.T5Encoder(CONFIG))
    other = torch.where(MASK == 0, 11, IDS)
    with torch.no_grad():
        close(
            model(IDS, MASK)[0, :3], model(other, MASK)[0, :3], "with other padding, a state", 1e-5
        )


@encoder.trial
def encoder_trial(code, draw):
    buckets, far = draw.choice("buckets, max_distance", ((32, 128), (8, 20)))
    layers, eps = draw.choice("layers", (2, 1, 3)), draw.choice("eps", (1e-6, 0.1))
    config = SimpleNamespace(**vars(CONFIG) | {"relative_attention_num_buckets": buckets,
                                               "relative_attention_max_distance": far,
                                               "num_layers": layers,
                                               "layer_norm_epsilon": eps})  # fmt: skip
    model, length = fill(code.T5Encoder(config)), draw.whole("length", 2, 12)
    model = model.to(draw.choice("dtype", (torch.float64, torch.float32, torch.bfloat16)))
    ids = torch.tensor([[draw.seed(f"id {i} {j}") % 20 for j in range(length)]
                        for i in range(draw.batch)])  # fmt: skip
    tokens = torch.tensor(draw.wholes("tokens of each text", draw.batch, 1, length))
    mask = (torch.arange(length) < tokens[:, None]).to(
        draw.choice("mask", (torch.int64, torch.bool))
    )
    return {"the bias": model.attention_bias(mask).clamp(min=-1e4), "the states": model(ids, mask)}
