"""The T5 v1.1 encoder, written out: token ids -> one state per token.

Module names are the official state-dict keys. What differs from the usual transformer:

    no positions are added; a learned bias on the attention scores, by bucketed distance, stands in
    no 1/sqrt(d) in attention (the initialisation made up for it)
    RMS norm: no mean is subtracted, no bias; statistics in fp32
    the feed-forward layer is gated: gelu(wi_0 h) * (wi_1 h), with the tanh form of GELU

Source: Raffel et al. 2019, arXiv 1910.10683; v1.1: Shazeer 2020, arXiv 2002.05202.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.deepfloyd.config import read_fields
from minidiff.errors import UserError

MAX_LAYERS = 64  # building more, only to find their weights missing, would take minutes
FIXED = {
    "feed_forward_proj": "gated-gelu",
    "is_decoder": False,
    "is_encoder_decoder": False,
    "model_type": "t5",
}
IGNORED = {
    "architectures",
    "bos_token_id",
    "classifier_dropout",
    "decoder_start_token_id",
    "dense_act_fn",
    "dropout_rate",
    "dtype",
    "eos_token_id",
    "initializer_factor",
    "is_gated_act",
    "n_positions",
    "num_decoder_layers",
    "output_past",
    "pad_token_id",
    "scale_decoder_outputs",
    "tie_word_embeddings",
    "torch_dtype",
    "transformers_version",
    "use_cache",
}


@dataclass(frozen=True)
class T5Config:
    """The fields of an official text_encoder/config.json that shape the encoder."""

    vocab_size: int
    d_model: int
    num_layers: int
    num_heads: int
    d_kv: int = 64
    d_ff: int = 10240
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    layer_norm_epsilon: float = 1e-6

    @classmethod
    def from_dict(cls, raw: dict) -> "T5Config":
        """Read an official config.json. UserError for what is missing, wrong or not T5 v1.1."""
        # Published configs of the encoder differ in whether they call it an encoder-decoder.
        values = read_fields(cls, {**raw, "is_encoder_decoder": False}, FIXED, IGNORED)
        missing = {"vocab_size", "d_model", "num_layers", "num_heads"} - values.keys()
        if missing:
            raise UserError(f"text_encoder/config.json lacks {', '.join(sorted(missing))}")
        wrong = {
            k: v for k, v in values.items() if type(v) is not int and k != "layer_norm_epsilon"
        }
        wrong |= {k: v for k, v in values.items() if type(v) is int and not 0 < v <= 1 << 20}
        if wrong:
            raise UserError(
                f"text_encoder/config.json: sizes must be whole numbers above 0: {wrong}"
            )
        config = cls(**values)
        config.check()
        return config

    def check(self) -> None:
        """Raise UserError for numbers that no such network can have."""
        eps, buckets = self.layer_norm_epsilon, self.relative_attention_num_buckets
        if self.num_layers > MAX_LAYERS:
            raise UserError(
                f"text_encoder/config.json: num_layers is {self.num_layers}; XXL has 24, and more"
                f" than {MAX_LAYERS} are not read"
            )
        if type(eps) is not float or not 0 < eps < 1:
            raise UserError(
                f"text_encoder/config.json: layer_norm_epsilon must be in (0, 1), not {eps!r}"
            )
        if buckets % 4 or buckets // 4 >= self.relative_attention_max_distance:
            raise UserError(
                f"text_encoder/config.json: {buckets} relative_attention_num_buckets must be a"
                " multiple of 4, and a quarter of them below relative_attention_max_distance ="
                f" {self.relative_attention_max_distance}"
            )

    @property
    def inner_dim(self) -> int:
        """Width inside attention; equal to d_model only in some sizes, XXL among them."""
        return self.num_heads * self.d_kv


class RMSNorm(nn.Module):
    """x / rms(x) * weight. The statistics are fp32; the result has the weight's dtype."""

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        variance = x.float().pow(2).mean(dim=-1, keepdim=True)
        x = x * torch.rsqrt(variance + self.eps)  # fp32 from here if x is half precision
        return self.weight * x.to(self.weight.dtype)


def relative_buckets(length: int, num_buckets: int = 32, max_distance: int = 128) -> Tensor:
    """Bucket of every (query, key) pair, (L, L) integers in 0..num_buckets-1.

    Half of the buckets are for keys after the query. Of each half, one half holds the exact
    distances 0..7, the other grows logarithmically up to max_distance.
    """
    positions = torch.arange(length)
    distance = positions[None, :] - positions[:, None]  # key minus query
    half = num_buckets // 2
    exact = half // 2
    after = (distance > 0).long() * half
    distance = distance.abs()
    growth = torch.log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    far = exact + (growth * (half - exact)).long()
    return after + torch.where(distance < exact, distance, far.clamp(max=half - 1))


class SelfAttention(nn.Module):
    """Attention whose scores are not divided by sqrt(d): T5's initial weights make up for it."""

    def __init__(self, config: T5Config, has_bias_table: bool):
        super().__init__()
        self.heads = config.num_heads
        self.q = nn.Linear(config.d_model, config.inner_dim, bias=False)
        self.k = nn.Linear(config.d_model, config.inner_dim, bias=False)
        self.v = nn.Linear(config.d_model, config.inner_dim, bias=False)
        self.o = nn.Linear(config.inner_dim, config.d_model, bias=False)
        if has_bias_table:  # only block 0 has one; its bias serves all blocks
            self.relative_attention_bias = nn.Embedding(
                config.relative_attention_num_buckets, config.num_heads
            )

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x (B, L, D); bias (B, heads, L, L): position bias plus -inf at padded keys."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, L, d)
            for layer in (self.q, self.k, self.v)
        )
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), scale=1.0)
        return self.o(out.transpose(1, 2).flatten(2))


class AttentionLayer(nn.Module):
    """Attention as a residual, behind its norm; (B, L, D) in and out."""

    def __init__(self, config: T5Config, has_bias_table: bool):
        super().__init__()
        self.SelfAttention = SelfAttention(config, has_bias_table)
        self.layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        return x + self.SelfAttention(self.layer_norm(x), bias)


class GatedFeedForward(nn.Module):
    """T5 v1.1's feed-forward layer, (B, L, D) in and out: one projection gates the other."""

    def __init__(self, config: T5Config):
        super().__init__()
        self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x)
        # In fp16 the result of wo overflows: wo stays in fp32 there, and so does what follows.
        return self.wo(h.to(self.wo.weight.dtype))


class FeedForwardLayer(nn.Module):
    """The feed-forward layer as a residual, behind its norm."""

    def __init__(self, config: T5Config):
        super().__init__()
        self.DenseReluDense = GatedFeedForward(config)
        self.layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.DenseReluDense(self.layer_norm(x))


class T5Block(nn.Module):
    """Attention, then feed-forward; the numbered `layer` is how official keys name the two."""

    def __init__(self, config: T5Config, has_bias_table: bool):
        super().__init__()
        self.layer = nn.ModuleList(
            [AttentionLayer(config, has_bias_table), FeedForwardLayer(config)]
        )

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        return self.layer[1](self.layer[0](x, bias))


class Stack(nn.Module):
    """The part of the official model that its keys call `encoder`."""

    def __init__(self, config: T5Config):
        super().__init__()
        self.block = nn.ModuleList([T5Block(config, i == 0) for i in range(config.num_layers)])
        self.final_layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)


class T5Encoder(nn.Module):
    """Token ids (B, L) and mask (B, L) -> states (B, L, d_model). Holds weights only."""

    def __init__(self, config: T5Config):
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """mask is 1 for tokens and 0 for padding. Padded positions are computed and returned too:
        DeepFloyd's UNet reads all 77 of them."""
        x = self.shared(ids)
        bias = self.attention_bias(mask)
        for block in self.encoder.block:
            x = block(x, bias)
        return self.encoder.final_layer_norm(x)

    def attention_bias(self, mask: Tensor) -> Tensor:
        """Position bias of all blocks, very negative at padded keys: (B, heads, L, L)."""
        config = self.config
        table = self.encoder.block[0].layer[0].SelfAttention.relative_attention_bias
        buckets = relative_buckets(
            mask.shape[1],
            config.relative_attention_num_buckets,
            config.relative_attention_max_distance,
        )
        bias = table(buckets.to(mask.device)).permute(2, 0, 1)[None]  # (1, heads, L, L)
        hidden = torch.finfo(bias.dtype).min
        return bias.masked_fill(mask[:, None, None, :] == 0, hidden)
