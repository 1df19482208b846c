"""DeepFloyd IF's UNet, written out: noisy picture, timestep, text -> noise and variance.

Module names are the official state-dict keys, so loading needs no renaming. From the bottom up:

    TimeEmbedding   t -> sinusoid -> two linears
    TextPooling     T5 states -> one vector that is added to the time embedding
    ResBlock        two convolutions; the embedding scales and shifts the second norm
    Attention       picture attends to text and to itself, in one softmax over [text, picture]
    DownBlock, MidBlock, UpBlock    the U: skips are pushed on the way down and popped on the way up
    UNet            the whole model; Cond is what it wants to know of a prompt, computed once

Stage II, 64 -> 256 pixels, is the same network. It takes six channels, the noisy picture and the
upscaled low-resolution one, and embeds how much noise lies on the latter: with_level. Its other
differences are numbers in the config: what a ResBlock's sum is divided by, how often the embedding
is activated, whether pixels attend to text alone.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidiff.deepfloyd.unet_config import DOWN_BLOCKS, TEXT_NORM_GROUPS, UP_BLOCKS, UNetConfig
from minidiff.errors import UserError
from minidiff.io.inputs import network_pictures, states, timesteps


@dataclass(frozen=True)
class Cond:
    """What the UNet needs of P prompts, the same at every timestep: compute once, use each step.

    pooled   (P, embed_dim), added to the time embedding; in stage II it knows the noise level too
    keys     one (P, L, heads * head_dim) per attention layer, in the order the layers run
    values   likewise
    """

    pooled: Tensor
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.pooled)

    def map(self, f) -> "Cond":
        """Apply f to every tensor."""
        return Cond(f(self.pooled), tuple(map(f, self.keys)), tuple(map(f, self.values)))

    def tensors(self) -> list[Tensor]:
        """Every tensor, in a fixed order."""
        return [self.pooled, *self.keys, *self.values]

    def take(self, rows) -> "Cond":
        """The given prompts, in that order and as often as named: take([0, 0, 2])."""
        rows = torch.as_tensor(rows, device=self.pooled.device)
        return self.map(lambda x: x[rows])

    def split(self, size: int) -> list["Cond"]:
        """The prompts in order, `size` at a time."""
        return [self.map(lambda x, i=i: x[i : i + size]) for i in range(0, len(self), size)]

    @staticmethod
    def cat(conds: list["Cond"]) -> "Cond":
        """Several prompts' conditions as one batch."""
        return Cond(
            torch.cat([c.pooled for c in conds]),
            tuple(torch.cat(ks) for ks in zip(*(c.keys for c in conds))),
            tuple(torch.cat(vs) for vs in zip(*(c.values for c in conds))),
        )


# --- embeddings ------------------------------------------------------------------------------


def sinusoid(t: Tensor, dim: int) -> Tensor:
    """Transformer position encoding of the timestep: (B,) -> (B, dim), cosines first, fp32.

    t may lie between two timesteps, as it does where flow.py asks.
    """
    half = dim // 2
    freqs = torch.exp(-math.log(10000) * torch.arange(half, device=t.device).float() / half)
    angles = t.float()[:, None] * freqs
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class TimeEmbedding(nn.Module):
    """Sinusoids of t (B, sinusoid_dim) -> (B, dim), what every ResBlock is steered by."""

    def __init__(self, sinusoid_dim: int, dim: int):
        super().__init__()
        self.linear_1 = nn.Linear(sinusoid_dim, dim)
        self.linear_2 = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(F.gelu(self.linear_1(x)))


def with_level(pooled: Tensor, level: int | Tensor, embedding: TimeEmbedding, dim: int) -> Tensor:
    """Stage II: pooled text (P, embed_dim) plus the noise level, embedded as a timestep is.

    level: a number for all P prompts, or (P,). dim: how many sinusoids `embedding` takes.
    """
    level = torch.as_tensor(level, device=pooled.device).expand(len(pooled))
    return pooled + embedding(sinusoid(level, dim).to(pooled.dtype))


class AttentionPool(nn.Module):
    """One query, the mean of all tokens, attends to itself and to the tokens. No output layer."""

    def __init__(self, heads: int, dim: int):
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.empty(1, dim).normal_(std=dim**-0.5))
        self.k_proj = nn.Linear(dim, dim)
        self.q_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)

    def forward(self, text: Tensor) -> Tensor:
        mean = text.mean(dim=1, keepdim=True) + self.positional_embedding  # padding counts too
        tokens = torch.cat([mean, text], dim=1)  # (B, 1 + L, D)
        q = split_heads(self.q_proj(mean), self.heads)
        k = split_heads(self.k_proj(tokens), self.heads)
        v = split_heads(self.v_proj(tokens), self.heads)
        return merge_heads(F.scaled_dot_product_attention(q, k, v))[:, 0]  # (B, D)


class TextPooling(nn.Module):
    """Raw T5 states (B, L, text_dim) -> (B, dim)."""

    def __init__(self, text_dim: int, dim: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(text_dim)
        self.pool = AttentionPool(heads, text_dim)
        self.proj = nn.Linear(text_dim, dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, text: Tensor) -> Tensor:
        return self.norm2(self.proj(self.pool(self.norm1(text))))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, L, C) -> (B, heads, L, C / heads)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, heads, L, d) -> (B, L, heads * d)"""
    return x.transpose(1, 2).flatten(2)


# --- layers ----------------------------------------------------------------------------------


def norm_gelu(
    norm: nn.GroupNorm, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """GELU of the normed x (B, C, H, W); scale and shift (B, C, 1, 1), if given, come between."""
    h = norm(x)
    if scale is not None:
        h = h * (1 + scale) + shift
    return F.gelu(h)


class ResBlock(nn.Module):
    """Two convolutions around a residual; `resample` halves or doubles the picture in between.

    The resampling sits after the first norm and activation, on both branches, without weights.
    """

    norm_gelu = staticmethod(norm_gelu)  # fused.py puts a faster one here

    def __init__(self, c_in: int, c_out: int, config: UNetConfig, resample: str | None = None):
        super().__init__()
        self.resample = resample
        self.norm1 = nn.GroupNorm(config.norm_num_groups, c_in, config.norm_eps)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.time_emb_proj = nn.Linear(config.embed_dim, 2 * c_out)
        self.norm2 = nn.GroupNorm(config.norm_num_groups, c_out, config.norm_eps)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        if c_in != c_out:
            self.conv_shortcut = nn.Conv2d(c_in, c_out, 1)
        self.divisor = config.resnet_out_scale_factor

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.norm_gelu(self.norm1, x)
        if self.resample == "down":
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        elif self.resample == "up":
            h, x = F.interpolate(h, scale_factor=2.0), F.interpolate(x, scale_factor=2.0)
        h = self.conv1(h)
        scale, shift = self.time_emb_proj(emb)[:, :, None, None].chunk(2, dim=1)  # scale first
        h = self.conv2(self.norm_gelu(self.norm2, h, scale, shift))
        if hasattr(self, "conv_shortcut"):
            x = self.conv_shortcut(x)
        return x + h if self.divisor == 1 else (x + h) / self.divisor


class Attention(nn.Module):
    """Self-attention over the pixels with the prompt's tokens as extra keys and values.

    The text's keys come first, then the picture's: one softmax weighs both. Where the config says
    only_cross_attention, some stages II, there is the text alone.
    """

    def __init__(self, channels: int, config: UNetConfig):
        super().__init__()
        self.heads = channels // config.attention_head_dim
        inner = self.heads * config.attention_head_dim
        text_dim = config.cross_attention_dim
        self.group_norm = nn.GroupNorm(config.norm_num_groups, channels)
        self.norm_cross = nn.GroupNorm(TEXT_NORM_GROUPS, text_dim)
        self.to_q = nn.Linear(channels, inner)
        self.attends_to_pixels = not config.only_cross_attention
        if self.attends_to_pixels:
            self.to_k = nn.Linear(channels, inner)
            self.to_v = nn.Linear(channels, inner)
        self.add_k_proj = nn.Linear(text_dim, inner)
        self.add_v_proj = nn.Linear(text_dim, inner)
        self.to_out = nn.ModuleList([nn.Linear(inner, channels)])

    def text_keys_values(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Projected text (B, L, X) -> keys and values (B, L, C). Does not depend on x or t.

        norm_cross takes its statistics over all L positions, padding included: always feed 77.
        """
        text = self.norm_cross(text.transpose(1, 2)).transpose(1, 2)
        return self.add_k_proj(text), self.add_v_proj(text)

    def forward(self, x: Tensor, text_k: Tensor, text_v: Tensor) -> Tensor:
        pixels = self.group_norm(x.flatten(2)).transpose(1, 2)  # (B, H*W, C)
        q = self.to_q(pixels)
        k, v = text_k, text_v
        if self.attends_to_pixels:
            k = torch.cat([text_k, self.to_k(pixels)], dim=1)
            v = torch.cat([text_v, self.to_v(pixels)], dim=1)
        q, k, v = (split_heads(z, self.heads) for z in (q, k, v))
        out = merge_heads(F.scaled_dot_product_attention(q, k, v))
        return x + self.to_out[0](out).transpose(1, 2).unflatten(2, x.shape[2:])


# --- blocks ----------------------------------------------------------------------------------

TextKV = list[tuple[Tensor, Tensor]]  # the (keys, values) of a block's attention layers


class Block(nn.Module):
    """A level of the U: `layers` ResBlocks, each followed by attention where the level attends."""

    def __init__(self, c_ins: list[int], c_out: int, attends: bool, config: UNetConfig):
        super().__init__()
        self.attends = attends
        if attends:
            self.attentions = nn.ModuleList([Attention(c_out, config) for _ in c_ins])
        self.resnets = nn.ModuleList([ResBlock(c_in, c_out, config) for c_in in c_ins])

    def layer(self, i: int, x: Tensor, emb: Tensor, text: TextKV) -> Tensor:
        x = self.resnets[i](x, emb)
        return self.attentions[i](x, *text[i]) if self.attends else x


class DownBlock(Block):
    """Layers, then a halving ResBlock unless it is the deepest level. Every output is a skip."""

    def __init__(self, c_in, c_out, layers, attends, last, config: UNetConfig):
        super().__init__([c_in] + [c_out] * (layers - 1), c_out, attends, config)
        if not last:
            self.downsamplers = nn.ModuleList([ResBlock(c_out, c_out, config, "down")])

    def forward(self, x: Tensor, emb: Tensor, text: TextKV) -> list[Tensor]:
        outputs = []
        for i in range(len(self.resnets)):
            x = self.layer(i, x, emb, text)
            outputs.append(x)
        if hasattr(self, "downsamplers"):
            outputs.append(self.downsamplers[0](x, emb))
        return outputs


class MidBlock(nn.Module):
    """The deepest level, 8 x 8 for 64 x 64 pictures: ResBlock, attention, ResBlock."""

    def __init__(self, channels: int, config: UNetConfig):
        super().__init__()
        self.attentions = nn.ModuleList([Attention(channels, config)])
        self.resnets = nn.ModuleList([ResBlock(channels, channels, config) for _ in range(2)])
        for resnet in self.resnets:
            resnet.divisor = config.mid_block_scale_factor

    def forward(self, x: Tensor, emb: Tensor, text: TextKV) -> Tensor:
        x = self.resnets[0](x, emb)
        x = self.attentions[0](x, *text[0])
        return self.resnets[1](x, emb)


class UpBlock(Block):
    """Layers that each take one skip back in, then a doubling ResBlock unless it is the top."""

    def __init__(self, c_in, c_out, skips, attends, last, config: UNetConfig):
        widths = [c_in] + [c_out] * (len(skips) - 1)
        super().__init__([a + b for a, b in zip(widths, skips)], c_out, attends, config)
        if not last:
            self.upsamplers = nn.ModuleList([ResBlock(c_out, c_out, config, "up")])

    def forward(self, x: Tensor, emb: Tensor, skips: list[Tensor], text: TextKV) -> Tensor:
        for i in range(len(self.resnets)):
            x = torch.cat([x, skips.pop()], dim=1)  # (B, C + C_skip, H, W): the skip comes second
            x = self.layer(i, x, emb, text)
        return self.upsamplers[0](x, emb) if hasattr(self, "upsamplers") else x


class Output(NamedTuple):
    """What the official call gives: eps and v as (B, 6, H, W), by name or as [0]."""

    sample: Tensor


# --- the model -------------------------------------------------------------------------------


class UNet(nn.Module):
    """eps and variance of a noisy picture, given the timestep and the prompt.

    Holds weights only: nothing is remembered from one call to the next.
    """

    norm_gelu = staticmethod(norm_gelu)

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        widths, layers = config.block_out_channels, config.layers
        top, deepest = widths[0], len(widths) - 1
        self.conv_in = nn.Conv2d(config.in_channels, top, 3, padding=1)
        self.time_embedding = TimeEmbedding(top, config.embed_dim)
        if config.upscales:
            self.class_embedding = TimeEmbedding(top, config.embed_dim)
        self.encoder_hid_proj = nn.Linear(config.encoder_hid_dim, config.cross_attention_dim)
        self.add_embedding = TextPooling(
            config.encoder_hid_dim, config.embed_dim, config.addition_embed_type_num_heads
        )

        self.down_blocks = nn.ModuleList()
        skips = [top]  # channels of every skip, in the order they are pushed
        for i, (c_in, c_out) in enumerate(zip((top, *widths), widths)):
            attends = DOWN_BLOCKS[config.down_block_types[i]]
            block = DownBlock(c_in, c_out, layers[i], attends, i == deepest, config)
            self.down_blocks.append(block)
            skips += [c_out] * (layers[i] + (i != deepest))

        self.mid_block = MidBlock(widths[-1], config)

        self.up_blocks = nn.ModuleList()
        c_in = widths[-1]
        for i, (c_out, n) in enumerate(zip(widths[::-1], layers[::-1])):
            taken = [skips.pop() for _ in range(n + 1)]
            attends = UP_BLOCKS[config.up_block_types[i]]
            self.up_blocks.append(UpBlock(c_in, c_out, taken, attends, i == deepest, config))
            c_in = c_out

        self.conv_norm_out = nn.GroupNorm(config.norm_num_groups, top, config.norm_eps)
        self.conv_out = nn.Conv2d(top, config.out_channels, 3, padding=1)

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are stored in, and pictures must be given in."""
        return self.conv_in.weight.dtype

    def attention_layers(self) -> list[Attention]:
        """All attention layers in the order they run: down, middle, up."""
        blocks = [*self.down_blocks, self.mid_block, *self.up_blocks]
        return [layer for block in blocks for layer in getattr(block, "attentions", [])]

    def prepare(self, text: Tensor, level: int | Tensor | None = None) -> Cond:
        """T5 states (P, 77, encoder_hid_dim) -> everything the UNet needs of these P prompts.

        level: stage II only, the timestep 0..999 to which the low-resolution picture was noised, a
        number or (P,). Like the prompt it stays the same for a whole walk.
        """
        weight = self.conv_in.weight
        text = states(text, self.config.encoder_hid_dim, weight.dtype, weight.device)
        projected = self.encoder_hid_proj(text)
        pairs = [layer.text_keys_values(projected) for layer in self.attention_layers()]
        keys, values = tuple(k for k, _ in pairs), tuple(v for _, v in pairs)
        return Cond(self.pooled(text, level), keys, values)

    def pooled(self, text: Tensor, level: int | Tensor | None) -> Tensor:
        """What is added to the time embedding: the text as one vector, and stage II's level."""
        if (level is None) == self.config.upscales:
            takes = "is stage II and needs a" if self.config.upscales else "is stage I and takes no"
            raise UserError(f"this UNet {takes} level, the low-resolution picture's noise level")
        pooled = self.add_embedding(text)
        if level is None:
            return pooled
        return with_level(pooled, level, self.class_embedding, self.config.block_out_channels[0])

    def forward(
        self,
        x: Tensor,
        t: int | Tensor,
        text: Tensor | Cond | None = None,
        level: int | Tensor | None = None,
        **as_official,
    ) -> "Tensor | Output | tuple[Tensor]":
        """(B, 3, H, W) in about [-1, 1], t in 0..999 (a number or (B,)), text (B, 77, D) or Cond.

        Stage II takes (B, 6, H, W), the low-resolution picture behind the noisy one, and the level
        of prepare(), which a Cond already has.
        Returns (B, 6, H, W): channels 0-2 are eps, 3-5 the variance coefficient v.
        The course's cells call it with encoder_hidden_states= and return_dict=, and get what they
        expect: see `call_as_official`.
        """
        if as_official:
            return self.call_as_official(x, t, text, level, **as_official)
        cond = text if isinstance(text, Cond) else self.prepare(text, level)
        x = network_pictures(x, self.config.in_channels, self.dtype, self.conv_in.weight.device)
        t = timesteps(t, len(x), x.device)
        self.check_input(x, cond)

        emb = self.time_embedding(sinusoid(t, self.config.block_out_channels[0]).to(x.dtype))
        emb = emb + cond.pooled
        for _ in range(self.config.embedding_gelus):
            emb = F.gelu(emb)
        text_kv = iter(zip(cond.keys, cond.values))

        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            skips += block(skips[-1], emb, take_text(block, text_kv))
        x = self.mid_block(skips[-1], emb, take_text(self.mid_block, text_kv))
        for block in self.up_blocks:
            x = block(x, emb, skips, take_text(block, text_kv))
        return self.conv_out(self.norm_gelu(self.conv_norm_out, x))

    def call_as_official(
        self, x, t, text, level, *, encoder_hidden_states=None, class_labels=None,
        return_dict=True, **rest
    ):  # fmt: skip
        """unet(x, t, encoder_hidden_states=e, return_dict=False)[0], or .sample without the last.

        class_labels: stage II's level. rest: options of other models, fine as long as they are
        None.
        """
        if wanted := [name for name, value in rest.items() if value is not None]:
            raise UserError(f"the UNet of DeepFloyd IF has no {', '.join(wanted)}: leave it out")
        text = encoder_hidden_states if text is None else text
        out = self(x, t, text, class_labels if level is None else level)
        return Output(out) if return_dict else (out,)

    def check_input(self, x: Tensor, cond: Cond) -> None:
        halvings = 2 ** (len(self.down_blocks) - 1)
        uneven = any(side % halvings for side in x.shape[2:])
        if x.ndim != 4 or x.shape[1] != self.config.in_channels or uneven:
            raise UserError(
                f"pictures must be (B, {self.config.in_channels}, H, W) with H and W multiples of"
                f" {halvings}; got {tuple(x.shape)}"
            )
        if len(cond) != len(x):
            raise UserError(f"{len(x)} pictures need {len(x)} prompts; got {len(cond)}")


def take_text(block: nn.Module, text_kv) -> TextKV:
    """The next keys and values, as many as the block has attention layers."""
    return [next(text_kv) for _ in getattr(block, "attentions", [])]
