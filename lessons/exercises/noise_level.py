"""Exercise `noise_level`, course 0.

The noise level of the small picture, a timestep, is embedded as t is: sinusoid(level, dim), in the
dtype of pooled, through `embedding`. The result is added to the pooled text (P, E). level is one
number for all P prompts, or a tensor (P,).

Check it:       make grade EX=noise_level
Begin it anew:  delete this file, then `make lessons-sync`
"""

import torch
from torch import Tensor

from minidiff.deepfloyd.unet import TimeEmbedding, sinusoid
from minidiff.grade.stub import YourTurnError


def with_level(pooled: Tensor, level: int | Tensor, embedding: TimeEmbedding, dim: int) -> Tensor:
    """Stage II: pooled text (P, embed_dim) plus the noise level, embedded as a timestep is.

    level: a number for all P prompts, or (P,). dim: how many sinusoids `embedding` takes.
    """
    # about 2 lines in the package
    raise YourTurnError("write with_level")
