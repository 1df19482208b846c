"""Wrong versions of the second stage: the small picture, where it goes, the noise level."""

from functools import partial

from minidiff.grade.exercises import REFERENCE
from minidiff.grade.mistakes.mutation import Mutation

CASCADE, GUIDANCE = "minidiff/stage2/cascade.py", "minidiff/guidance.py"
UNET = "minidiff/deepfloyd/unet.py"

small = partial(Mutation, exercise="small_picture", file=CASCADE)
BILINEAR = 'return F.interpolate(low, size, mode="bilinear", align_corners=True)'
NOISED = "return forward_process(large, schedule.abar(level, like=large), eps)"

second = partial(Mutation, exercise="second_picture", file=GUIDANCE)
PAIRS = "pairs = zip(self.inner.pictures(x), self.inner.pictures(self.seen))"
JOINED = "return [torch.cat(pair, dim=1) for pair in pairs]"

told = partial(Mutation, exercise="noise_level", file=UNET)
ADDED = "return pooled + embedding(sinusoid(level, dim).to(pooled.dtype))"

CASCADE_VERSIONS = [
    small(
        name="small-corners-not-aligned",
        old=BILINEAR,
        new='return F.interpolate(low, size, mode="bilinear", align_corners=False)',
        caught_by="between the pixels a straight line",
        hint="The enlarged picture is shifted by up to half of a small pixel, most at the edges.",
        picture="Lines near the border are doubled or thick.",
    ),
    small(
        name="small-nearest",
        old=BILINEAR,
        new='return F.interpolate(low, size, mode="nearest")',
        caught_by="between the pixels a straight line",
        hint="Each small pixel became a square. The network learned from blended ones.",
        picture="Stairs along slanted edges.",
    ),
    small(
        name="small-bicubic",
        old=BILINEAR,
        new='return F.interpolate(low, size, mode="bicubic", align_corners=True)',
        caught_by="between the pixels a straight line",
        hint="A curve was laid through the pixels, which overshoots beside edges.",
        picture="Pale seams along edges.",
    ),
    small(
        name="small-not-faded",
        old=NOISED,
        new="return large + (1 - schedule.abar(level, like=large)) ** 0.5 * eps",
        caught_by="the picture fades as the noise grows",
        hint="The noise has its size, but the picture under it was not made fainter.",
        picture="Colours too strong, most of all in large areas.",
    ),
    small(
        name="small-level-from-the-other-end",
        old=NOISED,
        new="return forward_process(large, schedule.abar(999 - level, like=large), eps)",
        caught_by="the picture fades as the noise grows",
        hint="A small level should be little noise; here it is much.",
        picture="Another thing than the small picture shows.",
    ),
    small(
        name="small-noised-before-enlarging",
        old=NOISED,
        new="few = eps[..., : low.shape[-2], : low.shape[-1]]\n"
        "    noisy = forward_process(low, schedule.abar(level, like=low), few)\n"
        "    return enlarge(noisy, eps.shape[-2:])",
        caught_by="the picture fades as the noise grows",
        hint="The noise was enlarged with the picture, and is smooth: it hides no detail.",
        picture="Blotches a few pixels wide, taken for things.",
    ),
    small(
        name="small-no-draw-at-level-0",
        old="    eps = noise.draw()\n    large",
        new="    eps = noise.draw() if level else low.new_zeros(len(low), *noise.shape)\n    large",
        caught_by="noise is drawn once, whatever the level",
        hint="At level 0 nothing is drawn, so that every later draw is another one.",
        picture="A right picture, but not the reference's from the same seed.",
    ),
    small(
        name="small-averaged",
        old=BILINEAR,
        new='return F.interpolate(low, size, mode="area")',
        caught_by="between the pixels a straight line",
        hint="Areas were averaged, which is for shrinking; enlarged, it repeats pixels.",
        picture="Stairs along slanted edges.",
    ),
    small(
        name="small-drawn-twice",
        old="    eps = noise.draw()\n    large",
        new="    noise.draw()\n    eps = noise.draw()\n    large",
        caught_by="the picture fades as the noise grows",
        hint="Noise is drawn twice, and the second draw used: the first is lost.",
        picture="A right picture, but not the reference's from the same seed.",
    ),
    small(
        name="small-next-level",
        old=NOISED,
        new="return forward_process(large, schedule.abar(level + 1, like=large), eps)",
        caught_by="the picture fades as the noise grows",
        hint="The level counts from 0, as t does: abar(level), not of the next one.",
        picture="Nearly the same; noise that the network was not told of.",
    ),
    small(
        name="small-abar-under-a-root",
        old=NOISED,
        new="return forward_process(large, schedule.abar(level, like=large) ** 0.5, eps)",
        caught_by="the picture fades as the noise grows",
        hint="forward_process takes abar and draws the roots itself; here it got a root.",
        picture="Less noise than the network was told of: specks become strokes.",
    ),
    small(
        name="small-clean",
        old=NOISED,
        new="return large",
        caught_by="the picture fades as the noise grows",
        hint="The picture is shown as it is. The network is told that it is noisy.",
        picture="Soft: it takes true detail for noise.",
    ),
    second(
        name="second-order-swapped",
        old=JOINED,
        new="return [torch.cat(pair[::-1], dim=1) for pair in pairs]",
        caught_by="x_t comes first, the small picture behind it, in the channels",
        hint="The first three channels are the noisy picture's, and got the small one.",
        picture="The noise stays, or grows.",
    ),
    second(
        name="second-added",
        old=JOINED,
        new="return [noisy + seen for noisy, seen in pairs]",
        caught_by="x_t comes first, the small picture behind it, in the channels",
        hint="The two pictures were added up. The network wants to see both.",
        picture="An error: three channels where six are expected.",
    ),
    second(
        name="second-joined-as-batch",
        old=JOINED,
        new="return [torch.cat(pair, dim=0) for pair in pairs]",
        caught_by="x_t comes first, the small picture behind it, in the channels",
        hint="The pictures stand one after another in the batch, not in the channels.",
        picture="An error: three channels where six are expected.",
    ),
    second(
        name="second-view-of-one",
        old=PAIRS,
        new="pairs = zip(self.inner.pictures(x), [self.seen] * len(self.inner.pictures(x)))",
        caught_by=REFERENCE,
        hint="The noisy picture is turned and the small one is not: they contradict each other.",
        picture="Anagrams with a ghost of their upright self.",
    ),
    second(
        name="second-unseen-without-prompt",
        old=JOINED,
        new="return [torch.cat([noisy, seen * (i > 0)], dim=1)"
        " for i, (noisy, seen) in enumerate(pairs)]",
        caught_by="x_t comes first, the small picture behind it, in the channels",
        hint="Without the prompt the small picture is gone too: guidance pushes along both.",
        picture="Burnt colours and hard edges.",
    ),
    told(
        name="level-as-fraction",
        old=ADDED,
        new="return pooled + embedding(sinusoid(level / 1000, dim).to(pooled.dtype))",
        caught_by=REFERENCE,
        hint="The level is a timestep, 0 to 999; here it is a number below 1.",
        picture="Soft: it takes every small picture for a clean one.",
    ),
    told(
        name="level-in-place-of-the-text",
        old=ADDED,
        new="return embedding(sinusoid(level, dim).to(pooled.dtype))",
        caught_by="the text stays",
        hint="The level's embedding replaced the text's vector.",
        picture="The prompt counts less.",
    ),
    told(
        name="level-times-text",
        old=ADDED,
        new="return pooled * (1 + embedding(sinusoid(level, dim).to(pooled.dtype)))",
        caught_by=REFERENCE,
        hint="The embedding scales the text's vector. It should be added to it.",
        picture="Noise is left, or detail is lost.",
    ),
    told(
        name="level-without-layers",
        old=ADDED,
        new="return pooled + sinusoid(level, pooled.shape[1]).to(pooled.dtype)",
        caught_by="the text stays",
        hint="The sinusoids are added as they are; the level has layers of its own.",
        picture="Wrong contrast everywhere.",
    ),
    told(
        name="level-of-the-first-for-all",
        old="level = torch.as_tensor(level, device=pooled.device).expand(len(pooled))",
        new="level = torch.as_tensor(level, device=pooled.device).reshape(-1)[:1]"
        ".expand(len(pooled))",
        caught_by=REFERENCE,
        hint="All prompts got the first one's level.",
        picture="Right where all levels are alike, as in the pipeline; training goes wrong.",
    ),
    told(
        name="level-from-the-other-end",
        old=ADDED,
        new="return pooled + embedding(sinusoid(999 - level, dim).to(pooled.dtype))",
        caught_by=REFERENCE,
        hint="A small level is little noise; here it is told as much.",
        picture="Detail is invented where the small picture has some.",
    ),
    told(
        name="level-plus-one",
        old=ADDED,
        new="return pooled + embedding(sinusoid(level + 1, dim).to(pooled.dtype))",
        caught_by=REFERENCE,
        hint="The level counts from 0, as t does; here it is one too large.",
        picture="Nearly the same.",
    ),
    told(
        name="level-0-is-no-level",
        old=ADDED,
        new="told = embedding(sinusoid(level, dim).to(pooled.dtype))\n"
        "    return pooled + told * (level > 0).to(pooled.dtype)[:, None]",
        caught_by=REFERENCE,
        hint="Level 0 adds nothing here. Its embedding is not 0: a cosine of 0 is 1.",
        picture="Right at other levels; another contrast at 0.",
    ),
    told(
        name="level-mean-for-all",
        old="level = torch.as_tensor(level, device=pooled.device).expand(len(pooled))",
        new="level = torch.as_tensor(level, device=pooled.device).double().mean()"
        ".expand(len(pooled))",
        caught_by=REFERENCE,
        hint="All prompts got the mean of the levels.",
        picture="Right where all levels are alike, as in the pipeline; training goes wrong.",
    ),
]
