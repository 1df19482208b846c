"""Exercise `relative_buckets`, course A.0.

The bucket of every (query, key) pair of a text of `length` tokens, (L, L) integers. Half of the 32
buckets are for keys after the query. Of each half, the first 8 are the distances 0 to 7; the other
8 grow logarithmically, up to max_distance and all beyond.

Check it:       make grade EX=relative_buckets
Begin it anew:  delete this file, then `make lessons-sync`
"""

import math

import torch
from torch import Tensor

from minidiff.grade.stub import YourTurnError


def relative_buckets(length: int, num_buckets: int = 32, max_distance: int = 128) -> Tensor:
    """Bucket of every (query, key) pair, (L, L) integers in 0..num_buckets-1.

    Half of the buckets are for keys after the query. Of each half, one half holds the exact
    distances 0..7, the other grows logarithmically up to max_distance.
    """
    # about 9 lines in the package
    raise YourTurnError("write relative_buckets")
