# Written by `make lessons-sync`, do not edit: sha256 7bed41ad9f880256
"""Solution of `relative_buckets`, course A.0: from minidiff/deepfloyd/t5.py."""

import math

import torch
from torch import Tensor


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
