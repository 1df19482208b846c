"""Wrong versions of guidance, illusions, inpainting, the schedule, the step and the loop."""

from functools import partial

from minidiff.grade.exercises import REFERENCE
from minidiff.grade.mistakes.mutation import Mutation

EQUATIONS, GUIDANCE = "minidiff/equations.py", "minidiff/guidance.py"
SAMPLING, SCHEDULE, VIEWS = "minidiff/sampling.py", "minidiff/schedule.py", "minidiff/views.py"
SAMPLERS = "minidiff/samplers.py"

guidance = partial(Mutation, exercise="guidance", file=GUIDANCE, scene="sample")

anagram = partial(Mutation, exercise="anagram", file=GUIDANCE, scene="anagram")
BACK = "estimates.append(view.inverse(eps))"

hybrid = partial(Mutation, exercise="hybrid", file=EQUATIONS, scene="hybrid")
SPLIT = "return low_pass(eps_far) + (eps_near - low_pass(eps_near))"

inpaint = partial(Mutation, exercise="inpaint", file=SAMPLING, scene="inpaint")
NOISED = "noised = forward_process(original[rows], abar, noise.draw(rows))"

views = partial(Mutation, exercise="views", file=VIEWS)
schedule = partial(Mutation, exercise="schedule", file=SCHEDULE, scene="sample")
timesteps = partial(Mutation, exercise="timesteps", file=SCHEDULE)
step = partial(Mutation, exercise="denoise_step", file=SAMPLERS, scene="sample")
loop = partial(Mutation, exercise="denoise_loop", file=SAMPLING, scene="sample")
start = partial(Mutation, exercise="sdedit_start", file=SAMPLING, scene="sdedit")

SAMPLING_VERSIONS = [
    # 1.6
    guidance(
        name="guidance-asks-in-wrong-order",
        old="return [self.uncond, self.cond]",
        new="return [self.cond, self.uncond]",
        caught_by="asks first without, then with the prompt",
        hint="The prompts are asked for in one order and the answers read in the other.",
        picture="The prompt is avoided: anything but what was asked for.",
    ),
    guidance(
        name="guidance-variance-unconditional",
        old="(eps_uncond, _), (eps_cond, v) = answers",
        new="(eps_uncond, v), (eps_cond, _) = answers",
        caught_by=REFERENCE,
        hint="The variance comes from the answer to the empty prompt.",
        picture="Hardly to be seen: the two variances are nearly alike.",
    ),
    guidance(
        name="guidance-variance-guided",
        old="(eps_uncond, _), (eps_cond, v) = answers\n        return classifier_free_guidance("
        "eps_uncond, eps_cond, self.scale), v",
        new="(eps_uncond, v0), (eps_cond, v) = answers\n        return classifier_free_guidance("
        "eps_uncond, eps_cond, self.scale), classifier_free_guidance(v0, v, self.scale)",
        caught_by=REFERENCE,
        hint="The variance is guided as well. It is a width; it has no direction.",
        picture="Patches of grain where the two variances differ.",
    ),
    # 1.8
    anagram(
        name="anagram-sum",
        file=EQUATIONS,
        old="return sum(estimates) / len(estimates)",
        new="return sum(estimates)",
        caught_by="the mean of the estimates",
        hint="The estimates are added up; the result is twice as strong as noise.",
        picture="Burnt out to pure colours after a few steps.",
    ),
    anagram(
        name="anagram-not-turned-back",
        old=BACK,
        new="estimates.append(eps)",
        caught_by="estimates are turned back before they meet",
        hint="The second estimate is still turned when it meets the first.",
        picture="Noise that stays: each half of the estimate fights the other.",
    ),
    anagram(
        name="anagram-turned-on-twice",
        old=BACK,
        new="estimates.append(view.view(eps))",
        caught_by="estimates are turned back before they meet",
        hint="The estimate is turned again in the same direction. With a flip nobody sees it; "
        "with a quarter turn one does.",
        picture="Right with the flip; with a quarter turn, noise that stays.",
    ),
    anagram(
        name="anagram-both-see-the-same",
        old="return [seen for view in self.views for seen in [view.view(x)] * 2]",
        new="return [x for view in self.views for seen in [view.view(x)] * 2]",
        caught_by="each prompt sees the picture through its own view",
        hint="The second prompt is asked about the picture as it hangs, not as turned.",
        picture="Both readings upright, over each other; the second never learns of its view.",
    ),
    anagram(
        name="anagram-empty-prompt-at-first-view",
        old="return [seen for view in self.views for seen in [view.view(x)] * 2]",
        new="return [seen for view in self.views for seen in (x, view.view(x))]",
        caught_by="each prompt sees the picture through its own view",
        hint="The empty prompt is asked about the picture as it hangs, also for the turned prompt.",
        picture="Strong noise: the difference that guidance amplifies is mostly the turn.",
    ),
    anagram(
        name="anagram-variance-of-the-second",
        old="self.views[0].inverse_variance(answers[1][1])",
        new="self.views[0].inverse_variance(answers[3][1])",
        caught_by=REFERENCE,
        hint="The variance is that of the second prompt, which hangs the other way round.",
        picture="Grain in places that belong to the other reading.",
    ),
    # 1.9
    hybrid(
        name="hybrid-swapped",
        old=SPLIT,
        new="return low_pass(eps_near) + (eps_far - low_pass(eps_far))",
        caught_by="low frequencies from afar, high ones from close up",
        hint="Each prompt has the other's frequencies.",
        picture="The readings have changed places: the far one is seen close up.",
    ),
    hybrid(
        name="hybrid-high-pass-is-whole",
        old=SPLIT,
        new="return low_pass(eps_far) + eps_near",
        caught_by="low frequencies from afar, high ones from close up",
        hint="The near prompt's low frequencies are still there, beside those of the far one.",
        picture="Too strong an estimate in large shapes: harsh, saturated areas.",
    ),
    hybrid(
        name="hybrid-high-pass-of-far",
        old=SPLIT,
        new="return low_pass(eps_far) + (eps_near - low_pass(eps_far))",
        caught_by="low frequencies from afar, high ones from close up",
        hint="The high-pass takes away another picture's low frequencies than its own.",
        picture="Only the near prompt is drawn; the far one cancels itself.",
    ),
    hybrid(
        name="hybrid-sigma-too-large",
        file=GUIDANCE,
        old="return gaussian_blur(x, kernel_size=33, sigma=2.0)",
        new="return gaussian_blur(x, kernel_size=33, sigma=6.0)",
        caught_by="the low-pass keeps flat areas and spreads a point by sigma 2",
        hint="The blur is wider than the course's: for 64 pixels a small sigma is enough.",
        picture="The near prompt takes nearly all; the far one is left with the background.",
    ),
    hybrid(
        name="hybrid-variance-of-near",
        file=GUIDANCE,
        old="(eps_u, _), (eps_far, v), (eps_near, _) = answers",
        new="(eps_u, _), (eps_far, _), (eps_near, v) = answers",
        caught_by=REFERENCE,
        hint="The variance is the near prompt's.",
        picture="Hardly to be seen.",
    ),
    # 1.7.2
    inpaint(
        name="inpaint-noise-drawn-once",
        old="""    def after_step(x: Tensor, t_prev: int, rows: list[int]) -> Tensor:
        abar = schedule.abar(t_prev, like=x)
        noised = forward_process(original[rows], abar, noise.draw(rows))""",
        new="""    kept = noise.draw()

    def after_step(x: Tensor, t_prev: int, rows: list[int]) -> Tensor:
        abar = schedule.abar(t_prev, like=x)
        noised = forward_process(original[rows], abar, kept[rows])""",
        caught_by="the original is noised to the level just reached",
        hint="The original is noised with the same noise after every step, drawn once before the "
        "walk; each step draws anew.",
        picture="Seams along the mask: the outside wears a grain that the inside does not know.",
    ),
    inpaint(
        name="inpaint-mask-inverted",
        file=EQUATIONS,
        old="return mask * x_t + (1 - mask) * x_orig_t",
        new="return (1 - mask) * x_t + mask * x_orig_t",
        caught_by="inside the mask the new, outside the original",
        hint="New and kept have changed sides.",
        picture="The part that was to be replaced is kept, and all around it is new.",
    ),
    inpaint(
        name="inpaint-added-on-top",
        file=EQUATIONS,
        old="return mask * x_t + (1 - mask) * x_orig_t",
        new="return x_t + (1 - mask) * x_orig_t",
        caught_by="inside the mask the new, outside the original",
        hint="Outside the mask the original is laid over what was made, and both add up.",
        picture="The outside gets brighter and brighter and burns out.",
    ),
    inpaint(
        name="inpaint-clean-original",
        old=NOISED,
        new="noised = original[rows]",
        caught_by="the original is noised to the level just reached",
        hint="The original is pasted in clean, into a picture that is still noisy.",
        picture="Often nothing to see, for the kept part is exact; lesson 10 measures the damage.",
    ),
    inpaint(
        name="inpaint-noised-to-fixed-level",
        old="abar = schedule.abar(t_prev, like=x)",
        new="abar = schedule.abar(500, like=x)",
        caught_by="the original is noised to the level just reached",
        hint="The original has the same noise at every step, whatever level was reached.",
        picture="The kept part is half noise in the end.",
    ),
    inpaint(
        name="inpaint-level-before-the-step",
        old="abar = schedule.abar(t_prev, like=x)",
        new="abar = schedule.abar(t_prev + 30, like=x)",
        caught_by="the original is noised to the level just reached",
        hint="The original is noised to the level the step came from.",
        picture="A veil of noise over what is kept.",
    ),
    # 1.8, views
    views(
        name="views-flip-left-right",
        old="return x.flip(-2)",
        new="return x.flip(-1)",
        caught_by="the flip is upside down, not left-right",
        hint="The picture is mirrored left-right. Upside down is the other axis.",
        picture="The second reading is seen in a mirror, not upside down.",
        scene="anagram",
    ),
    views(
        name="views-turn-clockwise",
        old="return x.rot90(self.degrees // 90, dims=(-2, -1))",
        new="return x.rot90(-(self.degrees // 90), dims=(-2, -1))",
        caught_by="the inverse undoes the view",
        hint="The view and its inverse turn in the same direction.",
        picture="Noise that stays, with quarter turns; half turns look right.",
    ),
    views(
        name="views-negated-variance",
        old="def inverse_variance(self, v):\n        return v",
        new="def inverse_variance(self, v):\n        return -v",
        caught_by=REFERENCE,
        hint="The variance is negated with the picture. A spread has no sign to change.",
        picture="Grain: large variances become small ones and the other way round.",
    ),
    views(
        name="views-permutation-not-inverted",
        old="return self.shuffle(x, self.order(x).argsort())",
        new="return self.shuffle(x, self.order(x))",
        caught_by="the inverse undoes the view",
        hint="The pieces are shuffled a second time instead of being put back.",
        picture="Noise in every piece: the second estimate lands in the wrong places.",
    ),
    views(
        name="views-circle-inverse-forward",
        old="def inverse(self, x):\n        return self.turn(x, -1)",
        new="def inverse(self, x):\n        return self.turn(x, 1)",
        caught_by="the inverse undoes the view",
        hint="The disc is turned on instead of back.",
        picture="Noise within the disc, a clean picture around it.",
    ),
    # the schedule
    schedule(
        name="schedule-no-root-in-cosine",
        old="return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2",
        new="return math.cos((u + 0.008) / 1.008 * math.pi / 2)",
        caught_by="the cosine schedule's abar",
        hint="The cosine is not squared: abar falls too slowly.",
        picture="The network is told too late a time: noisy pictures.",
    ),
    schedule(
        name="schedule-betas-not-capped",
        old="min(1 - abar(end) / abar(start), max_beta)",
        new="(1 - abar(end) / abar(start))",
        caught_by="no beta above 0.999",
        hint="The last beta is 1: the last abar is 0 and nothing can be divided by it.",
        picture="Right from t = 990; NaN, a black picture, from t = 999.",
    ),
    schedule(
        name="schedule-even-roots",
        old="torch.linspace(first, last, num_timesteps, **EXACT)",
        new="torch.linspace(first**0.5, last**0.5, num_timesteps, **EXACT) ** 2",
        caught_by="the linear schedule's betas, both ends included",
        hint="The square roots of the betas are evenly spaced, as in Stable Diffusion; here it is "
        "the betas themselves.",
        picture="A network trained with the other schedule leaves noise, or blurs.",
    ),
    schedule(
        name="schedule-sum-for-product",
        old="torch.cumprod(1 - self.betas.double(), dim=0)",
        new="1 - torch.cumsum(self.betas.double(), dim=0)",
        caught_by="the cosine schedule's abar",
        hint="The betas are added up. Each step keeps a share of what the one before has left.",
        picture="abar is below 0 from the middle on: NaN, a black picture.",
    ),
    schedule(
        name="schedule-alphas-for-abars",
        old="torch.cumprod(1 - self.betas.double(), dim=0)",
        new="1 - self.betas.double()",
        caught_by="the cosine schedule's abar",
        hint="These are the alphas of single steps, without the bar: their product is missing.",
        picture="Every level counts as nearly clean: noise that is never removed.",
        scene="forward",
    ),
    schedule(
        name="schedule-wraps-before-first",
        old="abars = self.abars[t].masked_fill(t < 0, 1.0)",
        new="abars = self.abars[t]",
        caught_by=REFERENCE,
        hint="For t = -1 the list is read from its other end, where all is noise.",
        picture="The last step of the official walk turns the finished picture into noise.",
        scene="pipeline",
    ),
    schedule(
        name="schedule-one-level-for-the-batch",
        old="return abars.to(like.dtype).to(like.device)[:, None, None, None]",
        new="return abars.to(like.dtype).to(like.device)[:1, None, None, None]",
        caught_by=REFERENCE,
        hint="A batch of timesteps gets the level of its first one.",
        picture="All six levels of SDEdit start at the noise of the first.",
        scene="sdedit",
    ),
    schedule(
        name="schedule-linear-end-left-out",
        old="torch.linspace(first, last, num_timesteps, **EXACT)",
        new="torch.linspace(first, last, num_timesteps + 1, **EXACT)[:-1]",
        caught_by="the linear schedule's betas, both ends included",
        hint="The last beta is missing: the list ends one step before it.",
        picture="Not to be seen; every number differs in the third digit.",
        scene="digits",
    ),
    # 1.4, timesteps
    timesteps(
        name="timesteps-zero-left-out",
        old="return list(range(start, -1, -stride))",
        new="return list(range(start, 0, -stride))",
        caught_by="the course's list: 990 down to 0 by 30",
        hint="The list stops at 30: range leaves out its end.",
        picture="A fine grain is left: the last transition is never made.",
        scene="sample",
    ),
    timesteps(
        name="timesteps-ascending",
        old="return list(range(start, -1, -stride))",
        new="return list(range(0, start + 1, stride))",
        caught_by="the course's list: 990 down to 0 by 30",
        hint="The list runs from clean to noise. Denoising goes the other way.",
        picture="An error, if the list is checked; noise otherwise.",
    ),
    timesteps(
        name="timesteps-start-at-900",
        old="def strided_timesteps(start: int = 990, stride: int = 30)",
        new="def strided_timesteps(start: int = 900, stride: int = 30)",
        caught_by="the course's list: 990 down to 0 by 30",
        hint="The list begins later than it should: what i_start means moves with it.",
        picture="Noise is taken for a picture with a little in it: low contrast, vague shapes.",
        scene="sample",
    ),
    timesteps(
        name="timesteps-pairs-of-same",
        old="return list(zip(timesteps[:-1], timesteps[1:]))",
        new="return list(zip(timesteps[1:], timesteps[1:]))",
        caught_by="33 pairs, each from one timestep to the next, the last onto 0",
        hint="A step must go from one level to the next; these stay where they are.",
        picture="NaN: a stride of nothing has a beta of 0.",
    ),
    timesteps(
        name="timesteps-pair-short",
        old="return list(zip(timesteps[:-1], timesteps[1:]))",
        new="return list(zip(timesteps[:-2], timesteps[1:]))",
        caught_by="33 pairs, each from one timestep to the next, the last onto 0",
        hint="The walk has one transition too few: off by one at its end.",
        picture="A fine grain is left.",
        scene="sample",
    ),
    timesteps(
        name="timesteps-pipeline-ends-on-zero",
        old="return list(zip(timesteps, [*timesteps[1:], -1]))",
        new="return list(zip(timesteps, [*timesteps[1:], 0]))",
        caught_by="the official walk ends on the clean picture",
        hint="t = 0 is the first noise level, not the clean picture that comes before it.",
        picture="NaN in the last step, which goes from 0 to 0.",
    ),
    timesteps(
        name="timesteps-leading-not-whole",
        old="stride = num_timesteps // num_steps",
        new="stride = -(-num_timesteps // num_steps)",
        caught_by="the official spacing",
        hint="The stride is rounded up; the official one is rounded down.",
        picture="Not to be seen, until a walk of 27 steps begins beyond the schedule.",
    ),
    # 1.4, a step
    step(
        name="step-x0-at-previous-level",
        old="x0 = x0_from_eps(x_t, eps, abar)",
        new="x0 = x0_from_eps(x_t, eps, abar_prev)",
        caught_by="the step onto the clean picture is x0, and draws no noise",
        hint="x0 is estimated with the level the step goes to; x_t has the one it comes from.",
        picture="Grain that grows towards the end: too little noise is taken away.",
    ),
    step(
        name="step-levels-swapped",
        old="mean = posterior_mean(x_t, x0, abar, abar_prev)",
        new="mean = posterior_mean(x_t, x0, abar_prev, abar)",
        caught_by="the step onto the clean picture is x0, and draws no noise",
        hint="The two levels are handed to the mean in the wrong order.",
        picture="Explodes: every step walks back into noise.",
    ),
    step(
        name="step-pictures-swapped",
        old="mean = posterior_mean(x_t, x0, abar, abar_prev)",
        new="mean = posterior_mean(x0, x_t, abar, abar_prev)",
        caught_by="the step onto the clean picture is x0, and draws no noise",
        hint="x_t and x0 are handed to the mean in the wrong order.",
        picture="The first vague estimate is kept for good.",
    ),
    step(
        name="step-threshold-too-late",
        old="    if threshold is not None:\n        x0 = threshold(x0)\n"
        "    mean = posterior_mean(x_t, x0, abar, abar_prev)\n",
        new="    mean = posterior_mean(x_t, x0, abar, abar_prev)\n"
        "    if threshold is not None:\n        x0 = threshold(x0)\n",
        caught_by=REFERENCE,
        hint="The threshold comes after x0 was used: the step does not feel it.",
        picture="Over-saturated at high guidance, as if there were no threshold.",
        scene="pipeline",
    ),
    step(
        name="step-noise-missing",
        old="return add_noise(mean, log_variance, noise.draw(rows)), x0",
        new="return mean, x0",
        caught_by=REFERENCE,
        hint="A step returns its mean only; the random half is missing.",
        picture="Smooth, flat, without detail, and alike for all seeds.",
    ),
    step(
        name="step-one-timestep-variance",
        old="log_variance = learned_range_log_variance(v, abar, abar_prev)",
        new="log_variance = learned_range_log_variance(v, abar, schedule.abar(t - 1, like=x_t))",
        caught_by=REFERENCE,
        hint="The noise is that of a step from t to t - 1, whatever the stride. In the course's "
        "notebook, forgetting set_timesteps does this.",
        picture="Too little noise is put back: smooth shapes with little detail.",
    ),
    step(
        name="step-noise-onto-the-clean-picture",
        old="if t == 0:  # the pipeline's step",
        new="if t < 0:  # the pipeline's step",
        caught_by="the step onto the clean picture is x0, and draws no noise",
        hint="The last step, onto the clean picture, still adds noise.",
        picture="A fine grain on the finished picture.",
        scene="pipeline",
    ),
    # 1.4, the loop
    loop(
        name="loop-asks-at-t-prev",
        old="eps, v = ask(x_t, t)",
        new="eps, v = ask(x_t, t_prev)",
        caught_by="the UNet is asked at each t of the walk, once a step",
        hint="The UNet is told the level the step goes to, not that of the picture it is given.",
        picture="The network takes noise for detail: grain and speckles.",
    ),
    loop(
        name="loop-asks-at-index",
        old="eps, v = ask(x_t, t)",
        new="eps, v = ask(x_t, i)",
        caught_by="the UNet is asked at each t of the walk, once a step",
        hint="The UNet is told the index of the step. It wants the timestep.",
        picture="Nothing but noise: the network believes that the picture is clean.",
    ),
    loop(
        name="loop-halves-swapped",
        old="x_prev, x0 = take_step(x_t, eps, v, t, t_prev, schedule, noise, rows, threshold)",
        new="x_prev, x0 = take_step(x_t, v, eps, t, t_prev, schedule, noise, rows, threshold)",
        caught_by="Gaussian pictures: the walk is the exact sampler",
        hint="eps and v have changed places in the step.",
        picture="Nothing but noise.",
    ),
    loop(
        name="loop-after-step-told-t",
        old="x_prev = after_step(x_prev, t_prev, rows)",
        new="x_prev = after_step(x_prev, t, rows)",
        caught_by=REFERENCE,
        hint="What follows a step is told the level the step came from.",
        picture="Inpainting: a veil of noise over what is kept.",
        scene="inpaint",
    ),
    loop(
        name="loop-start-one-late",
        old="active = [row for row, first in enumerate(starts) if first <= i]",
        new="active = [row for row, first in enumerate(starts) if first < i]",
        caught_by="the UNet is asked at each t of the walk, once a step",
        hint="Every picture misses the first of its steps: off by one at the start.",
        picture="A picture that is a little too noisy throughout; grain at the end.",
    ),
    loop(
        name="loop-starts-ignored",
        old="active = [row for row, first in enumerate(starts) if first <= i]",
        new="active = [row for row, first in enumerate(starts)]",
        caught_by="a picture that starts later stands still until then",
        hint="All pictures walk from the beginning, whatever their start.",
        picture="SDEdit: nearly clean pictures are treated as noise and melt away.",
        scene="sdedit",
    ),
    # 1.7
    start(
        name="start-index-taken-for-t",
        old="t = torch.tensor([pairs[s][0] for s in starts])",
        new="t = torch.tensor([s for s in starts])",
        caught_by=REFERENCE,
        hint="The index is used as a timestep: nearly no noise is added.",
        picture="All levels look like the original, with the colours gone wrong.",
    ),
    start(
        name="start-at-t-prev",
        old="t = torch.tensor([pairs[s][0] for s in starts])",
        new="t = torch.tensor([pairs[s][1] for s in starts])",
        caught_by=REFERENCE,
        hint="The noise is that of the next level: the loop will think there is more of it.",
        picture="Slightly smooth: the network removes noise that is not there.",
    ),
    start(
        name="start-one-level-for-all",
        old="t = torch.tensor([pairs[s][0] for s in starts])",
        new="t = torch.tensor([pairs[starts[0]][0] for s in starts])",
        caught_by=REFERENCE,
        hint="All pictures get the noise of the first one's start.",
        picture="The later levels keep visible noise.",
    ),
    start(
        name="start-without-noise",
        old="return forward_process(x0, schedule.abar(t, like=x0), noise.draw())",
        new="return schedule.abar(t, like=x0) ** 0.5 * x0",
        caught_by=REFERENCE,
        hint="The picture is scaled down, but no noise is added.",
        picture="Flat shapes with few details: there is no noise for details to come from.",
    ),
]
