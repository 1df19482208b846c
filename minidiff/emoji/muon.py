"""Muon: momentum whose matrices are made orthogonal before they are applied.

A gradient of a weight matrix is dominated by a few directions; the update used here has all its
singular values near 1, so that rare directions (one emoji's name) learn as fast as common ones.
Norms, biases and embeddings are left to AdamW.

Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; the scale of the step, which lets
Muon share AdamW's learning rate, from Liu et al. 2025, arXiv 2502.16982.
"""

from collections import defaultdict

import torch
from torch import Tensor, nn


def orthogonalize(matrices: Tensor, iterations: int = 5) -> Tensor:
    """(N, rows, cols) -> the nearest matrices with singular values near 1, by Newton-Schulz.

    The quintic's coefficients bring any singular value in (0, 1] to about 0.7..1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """For weights of two or more dimensions; convolutions count as (out, in * height * width)."""

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            same_shape = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    same_shape[p.flatten(1).shape].append(p)
            for shape, params in same_shape.items():
                self.update(params, shape, group)

    def update(self, params: list[nn.Parameter], shape: torch.Size, group: dict) -> None:
        """One step for all parameters of one shape, orthogonalized as a batch."""
        grads = [p.grad for p in params]
        for p in params:
            self.state[p].setdefault("momentum", torch.zeros_like(p))
        buffers = [self.state[p]["momentum"] for p in params]
        torch._foreach_lerp_(buffers, grads, 1 - group["momentum"])
        nesterov = torch._foreach_lerp(grads, buffers, group["momentum"])
        matrices = torch.stack([g.reshape(shape) for g in nesterov])
        updates = orthogonalize(matrices) * (0.2 * max(shape) ** 0.5)  # about AdamW's rms
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        updates = [u.reshape(p.shape).to(p) for u, p in zip(updates, params)]
        torch._foreach_add_(params, updates, alpha=-group["lr"])
