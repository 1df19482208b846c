# Written by `make lessons-sync`, do not edit: sha256 93a2de476657c276
"""Solution of `classifier_free_guidance`, course 1.6: from minidiff/equations.py."""

from torch import Tensor


def classifier_free_guidance(eps_uncond: Tensor, eps_cond: Tensor, scale: float) -> Tensor:
    """Push the estimate along what the prompt changes.  Course A.4, CFG eq. 6 with w = scale - 1.

    scale 0 ignores the prompt, 1 is the plain conditional estimate, 7 is the course's value.
    """
    # eps = eps_u + gamma (eps_c - eps_u)
    return eps_uncond + scale * (eps_cond - eps_uncond)
