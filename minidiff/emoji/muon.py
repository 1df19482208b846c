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


def newton_schulz(x: Tensor, iterations: int = 5) -> Tensor:
    """(N, rows, cols) with rows <= cols -> the same with singular values near 1.

    The quintic's coefficients bring any singular value in (0, 1] to about 0.7..1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def orthogonalize(matrices: list[Tensor]) -> list[Tensor]:
    """Newton-Schulz for many matrices, in as few launches as possible.

    Matrices with the same shorter side are one batch: the longer side is padded with zeros, which
    add nothing to the gram matrix and stay zero. On a CPU, where padding costs what it weighs and
    bf16 is slow, only equal shapes are batched, in fp32.
    """
    wide = [m if m.shape[0] <= m.shape[1] else m.mT for m in matrices]
    on_cpu = bool(matrices) and matrices[0].device.type == "cpu"
    groups = defaultdict(list)
    for i, m in enumerate(wide):
        groups[m.shape if on_cpu else m.shape[0]].append(i)
    results: list[Tensor] = [None] * len(matrices)
    for members in groups.values():
        shape = (len(members), len(wide[members[0]]), max(wide[i].shape[1] for i in members))
        dtype = torch.float32 if on_cpu else torch.bfloat16
        batch = torch.zeros(shape, dtype=dtype, device=wide[members[0]].device)
        places = [batch[n, :, : wide[i].shape[1]] for n, i in enumerate(members)]
        torch._foreach_copy_(places, [wide[i] for i in members])
        for i, x in zip(members, newton_schulz(batch)):
            x = x[:, : wide[i].shape[1]]
            results[i] = x if wide[i] is matrices[i] else x.mT
    return results


class Muon(torch.optim.Optimizer):
    """For weights of two or more dimensions; convolutions count as (out, in * height * width)."""

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            self.update([p for p in group["params"] if p.grad is not None], group)

    def update(self, params: list[nn.Parameter], group: dict) -> None:
        grads = [p.grad for p in params]
        for p in params:
            self.state[p].setdefault("momentum", torch.zeros_like(p))
        buffers = [self.state[p]["momentum"] for p in params]
        torch._foreach_lerp_(buffers, grads, 1 - group["momentum"])
        nesterov = torch._foreach_lerp(grads, buffers, group["momentum"])
        updates = orthogonalize([g.flatten(1) for g in nesterov])
        torch._foreach_mul_(updates, [0.2 * max(u.shape) ** 0.5 for u in updates])  # AdamW's rms
        torch._foreach_copy_(nesterov, [u.reshape(p.shape) for u, p in zip(updates, params)])
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, nesterov, alpha=-group["lr"])
