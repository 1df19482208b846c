"""Wrong versions of Part B's DDPM: training example, loss, class dropout, sampling."""

from functools import partial

from minidiff.grade.exercises import REFERENCE
from minidiff.grade.mistakes.mutation import Mutation

DDPM, EQUATIONS = "minidiff/mnist/ddpm.py", "minidiff/equations.py"

loss = partial(Mutation, exercise="ddpm_loss", file=DDPM)
T = "t = torch.randint(0, len(abars), (len(x_0),), device=x_0.device, generator=generator)"
dropout = partial(Mutation, exercise="class_dropout", file=DDPM)
sampling = partial(Mutation, exercise="ddpm_sampling", file=DDPM, scene="digits")
guided = partial(Mutation, exercise="guided_sampling", file=DDPM, scene="class_digits")
LAST = "x = ddpm_step(x, eps, torch.zeros_like(x), abars[0], torch.ones_like(abars[0]))"

DDPM_VERSIONS = [
    # training
    loss(
        name="one-t-per-batch",
        old=T,
        new="t = torch.randint(0, len(abars), (1,), device=x_0.device, generator=generator)"
        ".expand(len(x_0))",
        caught_by="every picture has its own timestep, from 0 to T-1",
        hint="The whole batch shares one timestep: the loss jumps from step to step.",
        picture="A loss curve like a seismograph; poorer digits after the same epochs.",
    ),
    loss(
        name="t-not-normalised",
        old="return (x_t, t / len(abars)), eps",
        new="return (x_t, t.to(x_0.dtype)), eps",
        caught_by="the UNet is told t / T",
        hint="The UNet is told t in 0..299. It wants t / T, in 0..1.",
        picture="The loss stays high; samples are blots.",
    ),
    loss(
        name="t-normalised-twice",
        old="return (x_t, t / len(abars)), eps",
        new="return (x_t, t / len(abars) / len(abars)), eps",
        caught_by="the UNet is told t / T",
        hint="t is divided twice: all times look like the first one.",
        picture="The loss falls more slowly; noisy samples.",
    ),
    loss(
        name="last-timestep-never-drawn",
        old=T,
        new="t = torch.randint(0, len(abars) // 2, (len(x_0),), device=x_0.device, "
        "generator=generator)",
        caught_by="the UNet is told t / T",
        hint="Half of the timesteps are never drawn: sampling begins where nothing was learned.",
        picture="A low loss, and samples that are noise.",
    ),
    loss(
        name="betas-for-abars",
        old='abars = schedule["alpha_bars"]\n    t = torch.randint',
        new='abars = schedule["alphas"]\n    t = torch.randint',
        caught_by=REFERENCE,
        hint="The picture is noised by a single step's alpha; the bar is missing.",
        picture="A loss near 1: hardly any noise to be found; samples stay noise.",
    ),
    loss(
        name="target-is-the-picture",
        old="return (x_t, t / len(abars)), eps",
        new="return (x_t, t / len(abars)), x_0",
        caught_by="the target is the noise",
        hint="The target is the clean picture. That was section 1; from here on it is the noise.",
        picture="A low loss, and samples that drift to grey.",
    ),
    loss(
        name="target-is-x_t",
        old="return (x_t, t / len(abars)), eps",
        new="return (x_t, t / len(abars)), x_t",
        caught_by="the target is the noise",
        hint="The UNet is to answer what it was given.",
        picture="A loss near 0 after some steps, and samples that are noise.",
    ),
    loss(
        name="loss-summed",
        old="return F.mse_loss(unet(*inputs).float(), target)",
        new='return F.mse_loss(unet(*inputs).float(), target, reduction="sum")',
        caught_by=REFERENCE,
        hint="The squares are added up over the batch: the learning rate is far too large for it.",
        picture="A loss in the tens of thousands that jumps.",
    ),
    loss(
        name="loss-absolute",
        old="return F.mse_loss(unet(*inputs).float(), target)",
        new="return F.l1_loss(unet(*inputs).float(), target)",
        caught_by=REFERENCE,
        hint="The error's size is averaged, not its square.",
        picture="Another loss curve; samples a little sharper or duller.",
    ),
    loss(
        name="trained-in-eval-mode",
        old="check_length(ddpm_schedule, num_ts)\n    unet.train()\n"
        "    return squared_error(unet, ddpm_example(ddpm_schedule, x_0))",
        new="check_length(ddpm_schedule, num_ts)\n    unet.eval()\n"
        "    return squared_error(unet, ddpm_example(ddpm_schedule, x_0))",
        caught_by=REFERENCE,
        hint="The UNet is trained in eval mode: BatchNorm never learns its statistics.",
        picture="Training is unstable.",
    ),
    # class dropout
    dropout(
        name="dropout-inverted",
        old="generator=generator) >= p_uncond",
        new="generator=generator) < p_uncond",
        caught_by="a share of p_uncond is dropped",
        hint="The class is kept where it should be dropped: nine in ten are never told.",
        picture="Guided samples are digits of any kind.",
    ),
    dropout(
        name="dropout-single-entries",
        old="mask = torch.rand(len(c), device",
        new="mask = torch.rand((len(c), 10), device",
        caught_by="one number per picture, 0 or 1",
        hint="The mask is one number for each picture, (N,): the whole class vector goes or none "
        "of it, never single entries.",
        picture="The unconditional estimate is never trained; guidance makes wrong digits.",
    ),
    dropout(
        name="dropout-whole-batch",
        old="mask = torch.rand(len(c), device=x_0.device, generator=generator) >= p_uncond",
        new="mask = (torch.rand(1, device=x_0.device, generator=generator) >= p_uncond)"
        ".expand(len(c))",
        caught_by="a share of p_uncond is dropped",
        hint="One draw decides for the whole batch: all classes are dropped or none. Each picture "
        "needs a draw of its own.",
        picture="A loss curve with jumps; otherwise hard to see.",
    ),
    dropout(
        name="dropout-not-drawn",
        old="mask = torch.rand(len(c), device=x_0.device, generator=generator) >= p_uncond",
        new="mask = torch.arange(len(c), device=x_0.device) >= p_uncond * len(c)",
        caught_by="a share of p_uncond is dropped",
        hint="The share is right, but nothing is drawn: every batch drops the same places. Each "
        "picture has a chance of its own, in every batch anew.",
        picture="None to be expected in large batches; a batch of one is never told its class.",
    ),
    dropout(
        name="dropout-never",
        old="mask = torch.rand(len(c), device=x_0.device, generator=generator) >= p_uncond",
        new="mask = torch.ones(len(c), device=x_0.device)",
        caught_by="a share of p_uncond is dropped",
        hint="No class is ever dropped: the network never learns to do without.",
        picture="Guidance with an estimate nobody trained: distorted digits.",
    ),
    # sampling
    sampling(
        name="noise-at-the-last-step",
        old=LAST,
        new="x = ddpm_step(x, eps, noise.draw(), abars[0], torch.ones_like(abars[0]))",
        caught_by="the last step ends on the clean picture and adds no noise",
        hint="The last step adds noise too; z is 0 there.",
        picture="Hardly to be seen: the noise of the last step is one hundredth.",
    ),
    sampling(
        name="last-step-wraps-around",
        old=LAST,
        new="x = ddpm_step(x, eps, torch.zeros_like(x), abars[0], abars[-1])",
        caught_by="the last step ends on the clean picture and adds no noise",
        hint="At t = 0 the level before it is read from the end of the list: abars[-1] is noise.",
        picture="The last step turns the finished digit into a faint shadow.",
    ),
    sampling(
        name="last-step-left-out",
        old="for t in reversed(range(len(abars))):",
        new="for t in reversed(range(1, len(abars))):",
        caught_by="the UNet is asked at T-1, ..., 0, divided by T",
        hint="The walk stops at t = 1: t = 0 is never denoised.",
        picture="A trace of grain.",
    ),
    sampling(
        name="walks-upwards",
        old="for t in reversed(range(len(abars))):",
        new="for t in range(len(abars)):",
        caught_by="the UNet is asked at T-1, ..., 0, divided by T",
        hint="The walk goes from clean to noise.",
        picture="Noise.",
    ),
    sampling(
        name="sampling-t-not-normalised",
        old="torch.full((len(x),), t / len(abars), device=x.device)",
        new="torch.full((len(x),), float(t), device=x.device)",
        caught_by="the UNet is asked at T-1, ..., 0, divided by T",
        hint="In training the UNet was told t / T; here it is told t.",
        picture="Noise or grey blots.",
    ),
    sampling(
        name="sampling-t-one-late",
        old="torch.full((len(x),), t / len(abars), device=x.device)",
        new="torch.full((len(x),), (t + 1) / len(abars), device=x.device)",
        caught_by="the UNet is asked at T-1, ..., 0, divided by T",
        hint="t is counted from 1 here and from 0 in training: off by one.",
        picture="Hardly to be seen: slightly thin strokes.",
    ),
    sampling(
        name="same-noise-every-step",
        old="    x = noise.draw()\n    yield x\n",
        new="    x = z = noise.draw()\n    noise.draw = lambda: z\n    yield x\n",
        caught_by="Gaussian pictures: the walk is the exact one, up to its last step",
        hint="Every step adds the same noise again: it piles up instead of averaging out.",
        picture="A pattern of speckles under the digit, the same in each.",
    ),
    sampling(
        name="starts-from-zeros",
        old="    x = noise.draw()\n    yield x\n",
        new="    x = torch.zeros_like(noise.draw())\n    yield x\n",
        caught_by="the walk starts from pure noise",
        hint="The walk starts from a grey picture. The network knows such inputs only with noise.",
        picture="All samples look alike, thin or empty.",
    ),
    sampling(
        name="step-beta-without-root",
        file=EQUATIONS,
        old="return posterior_mean(x_t, x0, abar, abar_prev) + beta**0.5 * z",
        new="return posterior_mean(x_t, x0, abar, abar_prev) + beta * z",
        caught_by="Gaussian pictures: the walk is the exact one, up to its last step",
        hint="The noise is scaled by beta; its root is missing.",
        picture="Too little noise: digits that dissolve into smooth blots.",
    ),
    sampling(
        name="step-posterior-noise",
        file=EQUATIONS,
        old="return posterior_mean(x_t, x0, abar, abar_prev) + beta**0.5 * z",
        new="return posterior_mean(x_t, x0, abar, abar_prev)"
        " + (beta * (1 - abar_prev) / (1 - abar)) ** 0.5 * z",
        caught_by="Gaussian pictures: the walk is the exact one, up to its last step",
        hint="The noise is the posterior's. An older page of the course had that; today's has not.",
        picture="Good digits, other than the expected ones.",
    ),
    sampling(
        name="sampled-in-train-mode",
        old='step by step, in eval mode."""\n    unet.eval()',
        new='step by step, in eval mode."""\n    unet.train()',
        caught_by=REFERENCE,
        hint="The UNet samples in training mode: BatchNorm norms over the samples of the batch.",
        picture="Other digits in another batch; alone, a single sample is a blot.",
    ),
    # guided sampling
    guided(
        name="masks-swapped",
        old="mask = torch.cat([torch.zeros_like(c), torch.ones_like(c)])",
        new="mask = torch.cat([torch.ones_like(c), torch.zeros_like(c)])",
        caught_by=REFERENCE,
        hint="The two estimates have changed places: guidance pushes away from the digit.",
        picture="Anything but the digit that was asked for.",
    ),
    guided(
        name="both-told",
        old="mask = torch.cat([torch.zeros_like(c), torch.ones_like(c)])",
        new="mask = torch.cat([torch.ones_like(c), torch.ones_like(c)])",
        caught_by="both estimates of a step come from one call, with mask 0 and 1",
        hint="The mask is 1 in both halves: there is no unconditional estimate.",
        picture="Digits as without guidance: some unclear.",
    ),
    guided(
        name="guided-in-train-mode",
        old='digit and without, come from one call of the UNet.\n    """\n    unet.eval()',
        new='digit and without, come from one call of the UNet.\n    """\n    unet.train()',
        caught_by=REFERENCE,
        hint="The UNet samples in training mode: BatchNorm norms over the samples of the batch.",
        picture="Digits with wrong contrast that change with the batch.",
    ),
    guided(
        name="guided-scale-of-the-first",
        old=".to(device).reshape(-1, 1, 1, 1)",
        new=".to(device).reshape(-1, 1, 1, 1)[:1]",
        caught_by=REFERENCE,
        hint="All pictures get the scale of the first.",
        picture="A comparison of scales shows the same thing in every column.",
    ),
]
