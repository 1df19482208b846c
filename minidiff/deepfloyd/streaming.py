"""T5 read from disk a block at a time: an encoder of 10 GB on a card, or in a laptop, of 4.

The states of all prompts stay on the device; each block is read, applied to one prompt after the
other, and forgotten. The numbers are those of the whole encoder, given one prompt at a time, bit
for bit: it is the same code on the same weights.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from minidiff.deepfloyd.checkpoint import check_headers, fill
from minidiff.deepfloyd.t5 import T5Encoder


class StreamedT5:
    """Called like T5Encoder: token ids (B, L) and mask (B, L) -> states (B, L, d_model).

    encoder  a T5Encoder made by checkpoint.build, without memory for its weights
    """

    def __init__(
        self,
        encoder: T5Encoder,
        files: list[Path],
        device: torch.device,
        dtype: torch.dtype,
        *,
        aliases: dict[str, str],
        fp32: Callable[[str], bool],
    ):
        check_headers(encoder, files, aliases)
        self.whole, self.files, self.device, self.dtype = encoder.eval(), files, device, dtype
        self.how = {"aliases": aliases, "fp32": fp32}

    @torch.no_grad()
    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        with self.read("shared") as embed:
            x = embed(ids)
        bias = None
        for i in range(len(self.whole.encoder.block)):
            with self.read(f"encoder.block.{i}") as block:
                if bias is None:  # its table is in the first block and serves all
                    bias = self.whole.attention_bias(mask)
                x = torch.cat([block(*prompt) for prompt in zip(x.split(1), bias.split(1))])
        with self.read("encoder.final_layer_norm") as norm:
            return norm(x)

    @contextmanager
    def read(self, name: str) -> Iterator[nn.Module]:
        """A part of the encoder with its weights on the device, for as long as the block lasts."""
        fill(self.whole, self.files, self.device, self.dtype, prefix=name + ".", **self.how)
        part = self.whole.get_submodule(name)
        try:
            yield part
        finally:
            part.to("meta")
