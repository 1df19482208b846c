"""How one noise estimate is made out of several answers of the UNet.

Sections 1.4 to 1.9 of the course run the same loop and differ only here. A guidance says which
(picture, prompt) pairs it wants answers for, and how the answers combine:

    prompts        one Cond per query, each with a row for every picture of the batch
    pictures(x_t)  the same number of pictures: x_t as that query wants to see it
    combine(...)   the answers, in the same order -> one eps and one v

The loop puts all queries of a step into ONE call of the UNet.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from minidiff.deepfloyd.unet import Cond
from minidiff.equations import anagram_estimate, classifier_free_guidance, hybrid_estimate
from minidiff.errors import UserError
from minidiff.views import View

Answer = tuple[Tensor, Tensor]  # eps and v, each (B, 3, H, W)


class Guidance:
    """Base of all guidances: frozen dataclasses, of Conds and Tensors with one row per picture."""

    @property
    def prompts(self) -> list[Cond]:
        """What the UNet is asked about, one Cond of B rows for each query of a step."""
        raise TypeError(f"{type(self).__name__} must say which prompts it asks about")

    def pictures(self, x: Tensor) -> list[Tensor]:
        """What the UNet is shown, (B, 3, H, W) for each query: x itself, unless views turn it."""
        return [x for _ in self.prompts]

    def combine(self, answers: list[Answer]) -> Answer:
        """The answers to the queries, in their order, as the one that the step uses."""
        raise TypeError(f"{type(self).__name__} must say how its answers combine")

    def take(self, rows: list[int]) -> "Guidance":
        """The same guidance for some pictures of the batch only."""

        def pick(value):
            if isinstance(value, tuple):
                return tuple(pick(v) for v in value)
            if isinstance(value, Tensor):
                return value[rows]
            return value.take(rows) if isinstance(value, (Cond, Guidance)) else value

        return replace(self, **{f.name: pick(getattr(self, f.name)) for f in fields(self)})


@dataclass(frozen=True)
class Plain(Guidance):
    """The UNet's answer to the prompt as it is: sections 1.4 and 1.5."""

    cond: Cond

    @property
    def prompts(self):
        return [self.cond]

    def combine(self, answers):
        return answers[0]


@dataclass(frozen=True)
class CFG(Guidance):
    """Classifier-free guidance, section 1.6. The variance is the conditional answer's, unguided."""

    cond: Cond
    uncond: Cond
    scale: float = 7.0

    @property
    def prompts(self):
        return [self.uncond, self.cond]

    def combine(self, answers):
        (eps_uncond, _), (eps_cond, v) = answers
        return classifier_free_guidance(eps_uncond, eps_cond, self.scale), v


@dataclass(frozen=True)
class Anagram(Guidance):
    """Each view of the picture follows its own prompt: section 1.8.

    Each estimate is guided against the empty prompt *at its own view*, then turned back. The
    variance is that of the first prompt.
    """

    conds: tuple[Cond, ...]
    uncond: Cond
    views: tuple[View, ...]
    scale: float = 7.0

    def __post_init__(self):
        if len(self.conds) != len(self.views):
            raise UserError(f"{len(self.views)} views need as many prompts; got {len(self.conds)}")

    @property
    def prompts(self):
        return [cond for own in self.conds for cond in (self.uncond, own)]

    def pictures(self, x):
        return [seen for view in self.views for seen in [view.view(x)] * 2]

    def combine(self, answers):
        estimates = []
        for view, (eps_u, _), (eps_c, _) in zip(self.views, answers[::2], answers[1::2]):
            eps = classifier_free_guidance(eps_u, eps_c, self.scale)
            estimates.append(view.inverse(eps))
        return anagram_estimate(estimates), self.views[0].inverse_variance(answers[1][1])


def course_low_pass(x: Tensor) -> Tensor:
    """The course's low-pass filter: Gaussian blur, kernel 33, sigma 2 pixels."""
    from torchvision.transforms.functional import gaussian_blur  # a second that only hybrids need

    return gaussian_blur(x, kernel_size=33, sigma=2.0)


@dataclass(frozen=True)
class Hybrid(Guidance):
    """One prompt seen from afar, another close up: section 1.9. Variance of the far prompt."""

    far: Cond
    near: Cond
    uncond: Cond
    scale: float = 7.0
    low_pass: Callable[[Tensor], Tensor] = course_low_pass

    @property
    def prompts(self):
        return [self.uncond, self.far, self.near]

    def combine(self, answers):
        (eps_u, _), (eps_far, v), (eps_near, _) = answers
        far = classifier_free_guidance(eps_u, eps_far, self.scale)
        near = classifier_free_guidance(eps_u, eps_near, self.scale)
        return hybrid_estimate(far, near, self.low_pass), v


@dataclass(frozen=True)
class Factorized(Guidance):
    """Any split of a picture into parts that add up to it, a prompt for each part.

    `parts` are linear functions picture -> picture whose sum is the identity, for example
    greyscale and the colour that is left. Source: Geng et al. 2024, arXiv 2404.11615.
    """

    conds: tuple[Cond, ...]
    uncond: Cond
    parts: tuple[Callable[[Tensor], Tensor], ...]
    scale: float = 7.0

    def __post_init__(self):
        if len(self.conds) != len(self.parts):
            raise UserError(f"{len(self.parts)} parts need as many prompts; got {len(self.conds)}")

    @property
    def prompts(self):
        return [self.uncond, *self.conds]

    def combine(self, answers):
        (eps_u, _), *conditional = answers
        guided = [classifier_free_guidance(eps_u, eps, self.scale) for eps, _ in conditional]
        return sum(part(eps) for part, eps in zip(self.parts, guided)), conditional[0][1]


@dataclass(frozen=True)
class Upscaled(Guidance):
    """Any of the above in the second stage, whose UNet is shown a small picture beside x_t.

    inner   its Conds know the noise level that `seen` has: UNet.prepare(text, level)
    seen    (B, 3, H, W), the small picture, enlarged to the size of x_t and noised
    A view turns both, so that they still show the same.
    """

    inner: Guidance
    seen: Tensor

    @property
    def prompts(self):
        return self.inner.prompts

    def pictures(self, x):
        pairs = zip(self.inner.pictures(x), self.inner.pictures(self.seen))
        return [torch.cat(pair, dim=1) for pair in pairs]

    def combine(self, answers):
        return self.inner.combine(answers)
