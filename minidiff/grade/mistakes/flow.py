"""Wrong versions of flow matching: path, velocity, Euler, conditioning, guidance, languages."""

from functools import partial

from minidiff.grade.exercises import REFERENCE
from minidiff.grade.mistakes.mutation import Mutation

EQUATIONS, FLOW = "minidiff/equations.py", "minidiff/mnist/flow.py"
ODE = "minidiff/ode.py"

path = partial(Mutation, exercise="flow_interpolate", file=EQUATIONS)
ENDS, MIX = (
    "t = 1 is the picture, t = 0 the noise",
    "in between, the two are mixed in straight proportion",
)
PATH = "    return (1 - t) * eps + t * x1"

target = partial(Mutation, exercise="flow_velocity", file=FLOW)
TIMES = "every picture has its own time in [0, 1)"
NOISE, CONSISTENT = "the noise has variance 1", "x_t lies on the way whose slope is the target"
LOSS = "the loss is the mean square, in training mode"
DRAWN = "    t = torch.rand(len(x_1), device=x_1.device, generator=generator)\n    x_0"
EXAMPLE = "return (linear_path(x_1, x_0, t[:, None, None, None]), t), linear_velocity(x_1, x_0)"
FORWARD = "    unet.train()\n    return squared_error(unet, flow_example(x_1))"

euler = partial(Mutation, exercise="euler_sample", file=ODE)
UPDATES, RISE = "the number of updates", "the times rise from t_start and end on exactly 1"
ASKED = "the field is asked where each step begins"
WHOLE = "    whole = int((1 - t_start) / step_size - 1e-9)"
LIST = "    return [t_start + i * step_size for i in range(whole + 1)] + [1.0]"
START = (
    '    """One velocity a step, taken for the whole step.'
    ' The error of the walk is of order h."""\n'
)
WALK = "euler_step(x, velocity(x, t), t_next - t)"
LOOP = START + "    yield x\n    for t, t_next in zip(times[:-1], times[1:]):\n"
STEPS = LOOP + f"        x = {WALK}\n        yield x\n"

conditioning = partial(Mutation, exercise="flow_conditioning", file=FLOW)
SHARE = "a share of p_uncond is dropped, whole classes only"
MASK = "mask = torch.rand(len(c), device=x_1.device, generator=generator) >= p_uncond"
GIVEN = "return (x_t, c, t, mask), velocity"
CLASS_FORWARD = (
    "    unet.train()\n    return squared_error(unet, class_flow_example(x_1, c, p_uncond))"
)

guidance = partial(Mutation, exercise="flow_guidance", file=FLOW)
W = "w = 0 is the conditional velocity, -1 the unconditional one"
CALLS = "both velocities come from one call, masked and told"
GUIDED = "return classifier_free_guidance(u_uncond, u_cond, scale)"
TOLD = "    told = torch.cat([torch.zeros_like(c), torch.ones_like(c)])\n"
ASKED_FOR = "unet(torch.cat([x, x]), torch.cat([c, c]), times, told)"
V = "    return v_cond + w * (v_cond - v_uncond)"

languages = partial(Mutation, exercise="velocity_from_eps", file=EQUATIONS)
POINT = "one point in each language, on three paths"
FROM_EPS = "    return d_alpha * (x_t - sigma * eps) / alpha + d_sigma * eps"
FROM_X1 = "    return d_alpha * x1 + d_sigma * (x_t - alpha * x1) / sigma"
TO_EPS = "    return (d_alpha * x_t - alpha * v) / (d_alpha * sigma - alpha * d_sigma)"
TO_X1 = "    return (sigma * v - d_sigma * x_t) / (d_alpha * sigma - alpha * d_sigma)"
SCORE = "    return (t * v - x_t) / (1 - t)"

FLOW_VERSIONS = [
    # the path
    path(
        name="path-time-reversed",
        old=PATH,
        new="    return t * eps + (1 - t) * x1",
        caught_by=ENDS,
        hint="Time runs the other way: here t = 0 is the noise and t = 1 the picture.",
        picture="The noisiest picture stands where the clearest should.",
    ),
    path(
        name="path-roots",
        old=PATH,
        new="    return (1 - t) ** 0.5 * eps + t**0.5 * x1",
        caught_by=MIX,
        hint="The roots belong to the diffusion of the other edition; this path is straight.",
        picture="The picture at t = .25 is clearer than it should be, and all are stronger.",
    ),
    path(
        name="path-root-of-the-noise-only",
        old=PATH,
        new="    return (1 - t**2) ** 0.5 * eps + t * x1",
        caught_by=MIX,
        hint="The noise shrinks as on a circle, so that the variance stays 1; here it is a line.",
        picture="More noise than there should be, most at t = .75.",
    ),
    path(
        name="path-noise-kept",
        old=PATH,
        new="    return eps + t * x1",
        caught_by=ENDS,
        hint="The picture is added, but no noise is taken away: t = 1 is not clean.",
        picture="Noise in every picture, the last one included.",
    ),
    path(
        name="path-picture-kept",
        old=PATH,
        new="    return x1 + (1 - t) * eps",
        caught_by=ENDS,
        hint="The picture is there in full at every t; at t = 0 there should be noise alone.",
        picture="The picture shines through at t = 0.",
    ),
    path(
        name="path-noise-subtracted",
        old=PATH,
        new="    return t * x1 - (1 - t) * eps",
        caught_by=ENDS,
        hint="The noise enters with the wrong sign.",
        picture="No eye sees it here; the velocity trained on it leads away from the picture.",
    ),
    path(
        name="path-squares",
        old=PATH,
        new="    return (1 - t) ** 2 * eps + t**2 * x1",
        caught_by=MIX,
        hint="Both parts are squared: half-way there are a quarter and a quarter.",
        picture="Pale, low in contrast half-way.",
    ),
    path(
        name="path-not-weighted",
        old=PATH,
        new="    return eps + t * (x1 + eps)",
        caught_by=ENDS,
        hint="From the noise one goes by t times the difference, picture minus noise, not the sum.",
        picture="Ever noisier as t grows.",
    ),
    # what is learned
    target(
        name="velocity-sign",
        file=EQUATIONS,
        old="    return x1 - eps",
        new="    return eps - x1",
        caught_by="the velocity leads from the noise to the picture",
        hint="The velocity points from the picture back to the noise: the sign is wrong.",
        picture="Samples run away from every digit and blow up.",
    ),
    target(
        name="velocity-is-the-picture",
        file=EQUATIONS,
        old="    return x1 - eps",
        new="    return x1",
        caught_by="the velocity leads from the noise to the picture",
        hint="The target is the clean picture; a velocity is the difference between both ends.",
        picture="A low loss, and samples that keep all their noise.",
    ),
    target(
        name="velocity-is-the-noise",
        file=EQUATIONS,
        old="    return x1 - eps",
        new="    return eps",
        caught_by="the velocity leads from the noise to the picture",
        hint="The target is the noise, as in the DDPM. Here it is the way from noise to picture.",
        picture="Samples are noise, twice as strong.",
    ),
    target(
        name="velocity-from-x_t",
        old=EXAMPLE,
        new="x_t = linear_path(x_1, x_0, t[:, None, None, None])\n"
        "    return (x_t, t), linear_velocity(x_1, x_t)",
        caught_by=NOISE,
        hint="The target is the rest of the way from x_t, which shrinks with t, not the slope.",
        picture="Samples stop half-way: pale digits under noise.",
    ),
    target(
        name="example-time-reversed",
        old="(linear_path(x_1, x_0, t[:, None, None, None]), t)",
        new="(linear_path(x_1, x_0, 1 - t[:, None, None, None]), t)",
        caught_by=CONSISTENT,
        hint="The UNet is told t for a picture that was mixed at 1 - t.",
        picture="Recognisable grey digits in static: at t = 0 the network expects a clean picture.",
    ),
    target(
        name="one-time-per-batch",
        old=DRAWN,
        new=DRAWN.replace("len(x_1)", "1").replace(")\n", ").expand(len(x_1))\n"),
        caught_by=TIMES,
        hint="The whole batch shares one time: the loss jumps from step to step.",
        picture="A loss curve like a seismograph; poorer digits after the same epochs.",
    ),
    target(
        name="time-as-index",
        old=DRAWN,
        new="    t = torch.randint(0, 50, (len(x_1),), device=x_1.device).to(x_1.dtype)\n    x_0",
        caught_by=TIMES,
        hint="t is the index of a step; it should be a time in [0, 1), drawn with torch.rand.",
        picture="The UNet refuses such times. One that takes them has a loss of 0.1 after 60 "
        "steps, since x_t so far beyond the path's end shows the target; its samples stay noise.",
    ),
    target(
        name="time-on-a-grid",
        old=DRAWN,
        new="    t = torch.randint(0, 50, (len(x_1),), device=x_1.device) / 50\n    x_0",
        caught_by=TIMES,
        hint="The times stand on a grid, as an index divided by a number does; t should be any "
        "time in [0, 1), drawn with torch.rand.",
        picture="Hardly any difference with the same number of steps; with others the network is "
        "asked between the times that it knows.",
    ),
    target(
        name="time-kept-from-the-ends",
        old=DRAWN,
        new=DRAWN.replace("generator=generator)", "generator=generator).clamp(0.001, 0.999)"),
        caught_by=TIMES,
        hint="t is kept away from 0 or from 1; here nothing divides by either, and all of [0, 1) "
        "is meant.",
        picture="None to be seen: few times are so near to an end.",
    ),
    target(
        name="target-of-another-noise",
        old="linear_velocity(x_1, x_0)",
        new="linear_velocity(x_1, noise_like(x_1, generator))",
        caught_by=CONSISTENT,
        hint="The noise in the target is another than the one in x_t: draw it once, and use it "
        "for both.",
        picture="A loss that stays above 1, and samples that keep all their noise.",
    ),
    target(
        name="told-another-time",
        old="t[:, None, None, None]), t), linear",
        new="t[:, None, None, None]), torch.rand_like(t)), linear",
        caught_by=CONSISTENT,
        hint="The UNet is told another time than the one at which x_t was mixed: draw t once.",
        picture="Samples as of a network that is told no time: it learns not to look at it.",
    ),
    target(
        name="time-normal",
        old=DRAWN,
        new=DRAWN.replace("torch.rand(", "torch.sigmoid(torch.randn(").replace(")\n", "))\n"),
        caught_by=TIMES,
        hint="t comes from the middle most often (as in Stable Diffusion 3); here it is uniform.",
        picture="Another loss; hardly any difference to be seen.",
    ),
    target(
        name="noise-uniform",
        old="    x_0 = noise_like(x_1, generator)\n",
        new="    x_0 = torch.rand(x_1.shape, device=x_1.device, dtype=x_1.dtype)\n",
        caught_by=NOISE,
        hint="The noise is uniform in [0, 1]; sampling begins with Gaussian noise.",
        picture="A low loss, and samples that are smears.",
    ),
    target(
        name="flow-trained-in-eval-mode",
        old=FORWARD,
        new=FORWARD.replace("unet.train()", "unet.eval()"),
        caught_by=LOSS,
        hint="The UNet is trained in eval mode: BatchNorm never learns its statistics.",
        picture="Training is unstable.",
    ),
    # Euler
    euler(
        name="euler-no-step-size",
        file=EQUATIONS,
        old="    return x_t + h * v",
        new="    return x_t + v",
        caught_by=REFERENCE,
        hint="The whole velocity is added in every step: it has to be scaled by h.",
        picture="White and black blots, fifty times too strong.",
    ),
    euler(
        name="euler-backwards",
        file=EQUATIONS,
        old="    return x_t + h * v",
        new="    return x_t - h * v",
        caught_by=REFERENCE,
        hint="The step goes against the velocity, away from the picture.",
        picture="Noise that grows stronger and stronger.",
    ),
    euler(
        name="one-step-by-t",
        file=EQUATIONS,
        old="    return x_t + (1 - t) * v",
        new="    return x_t + t * v",
        caught_by=REFERENCE,
        hint="t of the way lie behind; what is left to go is 1 - t.",
        picture="At t = .25 a noisy picture, at t = .75 one with its noise inverted.",
    ),
    euler(
        name="one-step-without-length",
        file=EQUATIONS,
        old="    return x_t + (1 - t) * v",
        new="    return x_t + v",
        caught_by=REFERENCE,
        hint="One step from t goes 1 - t of the way, not all of it.",
        picture="Overshot: the noise shows inverted, most at t = .75.",
    ),
    euler(
        name="one-step-minus",
        file=EQUATIONS,
        old="    return x_t + (1 - t) * v",
        new="    return x_t - (1 - t) * v",
        caught_by=REFERENCE,
        hint="The step goes against the velocity: more noise instead of less.",
        picture="Twice the noise.",
    ),
    euler(
        name="last-step-overshoots",
        old=LIST,
        new="    return [t_start + i * step_size for i in range(whole + 2)]",
        caught_by=RISE,
        hint="The last step has its full length and goes beyond t = 1; it must be shortened.",
        picture="From t = .93 a little too much contrast.",
    ),
    euler(
        name="flow-last-step-left-out",
        old=LIST,
        new="    return [t_start + i * step_size for i in range(whole + 1)]",
        caught_by=UPDATES,
        hint="The walk stops before t = 1: a last, shorter step is missing.",
        picture="A thin layer of noise is left.",
    ),
    euler(
        name="step-added-by-rounding",
        old=WHOLE,
        new="    whole = math.ceil((1 - t_start) / step_size + 1e-9) - 1",
        caught_by=UPDATES,
        hint="Rounding adds a step of almost no length: count the updates, 50 from 0 with .02.",
        picture="None, but one call of the network is wasted.",
    ),
    euler(
        name="steps-from-zero",
        old=LIST,
        new="    return [i * step_size for i in range(whole + 1)] + [1.0]",
        caught_by=RISE,
        hint="The times begin at 0, not at t_start: a half-noised picture is told it is all noise.",
        picture="Edits that are washed out.",
    ),
    euler(
        name="asked-at-the-end",
        old=WALK,
        new=WALK.replace("velocity(x, t)", "velocity(x, t_next)"),
        caught_by=ASKED,
        hint="The velocity is asked at the time where the step ends, of a picture where it begins.",
        picture="Hardly any difference with 50 steps.",
    ),
    euler(
        name="asked-half-way",
        old=WALK,
        new=WALK.replace("velocity(x, t)", "velocity(x, (t + t_next) / 2)"),
        caught_by=ASKED,
        hint="The velocity is asked at a time half-way through the step, of a picture where the "
        "step begins.",
        picture="Hardly any difference with 50 steps.",
    ),
    euler(
        name="asked-with-a-tensor",
        old=WALK,
        new=WALK.replace("(x, t)", "(x, x.new_full((len(x),), t))"),
        caught_by=ASKED,
        hint="A velocity is asked with t as one float, as it stands in times: it makes a tensor "
        "of it where it needs one.",
        picture="None: the error comes before the first step.",
    ),
    euler(
        name="walk-told-the-index",
        old=LOOP + "        x = " + WALK,
        new=LOOP.replace("for t, t_next in zip(", "for i, (t, t_next) in enumerate(zip(").replace(
            "[1:]):", "[1:])):"
        )
        + "        x = "
        + WALK.replace("(x, t)", "(x, float(i))"),
        caught_by=ASKED,
        hint="The velocity is asked at the number of the step; it should be the time, times[i].",
        picture="None: the UNet refuses times beyond 1, which begin with the third step.",
    ),
    euler(
        name="walk-assumes-even-times",
        old=LOOP + "        x = " + WALK,
        new=LOOP.replace("for t, t_next in zip(", "for i, (t, t_next) in enumerate(zip(").replace(
            "[1:]):", "[1:])):"
        )
        + "        x = "
        + WALK.replace("(x, t)", "(x, i / (len(times) - 1))"),
        caught_by=ASKED,
        hint="The velocity is asked at even times from 0 to 1; the walk's own stand in the list "
        "times.",
        picture="None with even steps from 0; from another t_start the network is told too early "
        "a time.",
    ),
    euler(
        name="several-velocities-a-step",
        old=LOOP + "        x = " + WALK,
        new=LOOP + "        half = euler_step(x, velocity(x, t), (t_next - t) / 2)\n"
        "        x = euler_step(x, velocity(half, (t + t_next) / 2), t_next - t)",
        caught_by=ASKED,
        hint="More than one velocity is asked in a step, as the midpoint method and Heun's do; "
        "Euler's asks one, where the step begins.",
        picture="A little sharper, for twice the calls of the network.",
    ),
    euler(
        name="one-step-too-many",
        old=LOOP,
        new=LOOP.replace("zip(times[:-1], times[1:])", "zip(times, [*times[1:], times[-1]])"),
        caught_by=ASKED,
        hint="There is one step too many: n times make n - 1 steps, the last of them onto 1.",
        picture="Hardly any difference; one call of the network is wasted.",
    ),
    euler(
        name="walk-stops-early",
        old=LOOP,
        new=LOOP.replace("zip(times[:-1], times[1:])", "zip(times[:-2], times[1:-1])"),
        caught_by=ASKED,
        hint="The last step is not taken: n times make n - 1 steps.",
        picture="A thin layer of noise is left.",
    ),
    euler(
        name="one-tensor-in-place",
        old=STEPS,
        new=LOOP.replace("    yield x\n", "    x = x.clone()\n    yield x\n")
        + "        x += (t_next - t) * velocity(x, t)\n        yield x\n",
        caught_by=ASKED,
        hint="Every yield hands out the same tensor, so that all states become the last one. Make "
        "a new one in each step, as x = x + a does, and x += a or x.copy_(a) does not.",
        picture="The strip of states shows the last picture everywhere.",
    ),
    euler(
        name="walk-keeps-its-end",
        old=STEPS,
        new=LOOP + f"        x = {WALK}\n        if t_next < times[-1]:\n            yield x\n",
        caught_by=ASKED,
        hint="The last picture is not yielded: the walk ends with the one at t = 1.",
        picture="A thin layer of noise is left.",
    ),
    euler(
        name="last-time-not-1",
        old=LIST,
        new=LIST.replace("[1.0]", "[1.0 - 1e-9]"),
        caught_by=RISE,
        hint="The list comes near 1 and does not end on it: put 1.0 itself at its end.",
        picture="None to be seen.",
    ),
    euler(
        name="times-in-float32",
        old=LIST,
        new="    import torch\n\n"
        + LIST.replace("return [", "return torch.tensor([").replace("1)]", "1)]).tolist()"),
        caught_by=RISE,
        hint="These are the times as float32 keeps them: make them of Python's floats.",
        picture="None to be seen.",
    ),
    euler(
        name="start-not-checked",
        old="    check_start(t_start)\n    if not 0 < step_size <= 1:",
        new="    if not 0 < step_size <= 1:",
        caught_by=REFERENCE,
        hint="Nothing refuses a t_start below 0, or from 1 on: check_start does.",
        picture="None.",
    ),
    euler(
        name="only-the-last-picture",
        old=STEPS,
        new=LOOP.replace("    yield x\n", "") + f"        x = {WALK}\n    yield x\n",
        caught_by=ASKED,
        hint="Not every picture is handed out; the walk yields its start, and then the picture "
        "after each step.",
        picture="The strip of states has one picture.",
    ),
    euler(
        name="steps-all-alike",
        old=WHOLE,
        new="    n = round((1 - t_start) / step_size)\n"
        "    return [t_start + (1 - t_start) * i / n for i in range(n)] + [1.0]\n" + WHOLE,
        caught_by=UPDATES,
        hint="The way is cut into equal steps; the size that was asked for is kept, but in the "
        "last.",
        picture="From t = .93 three steps in place of four; hardly to be seen.",
    ),
    euler(
        name="first-step-for-all",
        old=WALK,
        new=WALK.replace("t_next - t", "times[1] - times[0]"),
        caught_by=REFERENCE,
        hint="Every step is as long as the first; each has the length between its two times.",
        picture="From t = .93 too far: overshot by the part of a step that is left.",
    ),
    euler(
        name="velocity-of-the-start",
        old=START + "    yield x\n",
        new=START
        + "    velocity = (lambda field, start: lambda _, t: field(start, t))(velocity, x)\n"
        "    yield x\n",
        caught_by=REFERENCE,
        hint="The velocity is asked about the picture where the walk began, not about the present "
        "one.",
        picture="A blur of many digits, as in one long step.",
    ),
    euler(
        name="walk-forgets-its-start",
        old=START + "    yield x\n",
        new=START,
        caught_by=REFERENCE,
        hint="The starting point is not yielded.",
        picture="The strip of states lacks its first picture.",
    ),
    # conditioning
    conditioning(
        name="flow-time-added",
        old="        u = u * self.fc1_t(t)\n",
        new="        u = u + self.fc1_t(t)\n",
        caught_by=REFERENCE,
        hint="Time is added to u, as in the DDPM of 2024; here it multiplies.",
        picture="Samples like the others: the network learns with either.",
    ),
    conditioning(
        name="flow-second-time-added",
        old="self.up1(concat(u, x3)) * self.fc2_t(t)",
        new="self.up1(concat(u, x3)) + self.fc2_t(t)",
        caught_by=REFERENCE,
        hint="The second time is added to up1; here both multiply.",
        picture="Samples like the others: the network learns with either.",
    ),
    conditioning(
        name="flow-second-time-forgotten",
        old="self.up1(concat(u, x3)) * self.fc2_t(t)",
        new="self.up1(concat(u, x3))",
        caught_by=REFERENCE,
        hint="Time enters once, at u; up1 wants it, too.",
        picture="A slightly higher loss.",
    ),
    conditioning(
        name="flow-time-before-unflatten-only",
        old="        u = u * self.fc1_t(t)\n",
        new="        u = u\n",
        caught_by=REFERENCE,
        hint="u is not told the time.",
        picture="A slightly higher loss.",
    ),
    conditioning(
        name="flow-time-multiplies-before-up1",
        old="        up1 = self.up1(concat(u, x3)) * self.fc2_t(t)\n",
        new="        up1 = self.up1(concat(u, x3))\n        x2 = x2 * self.fc2_t(t)\n",
        caught_by=REFERENCE,
        hint="The second time multiplies the skip x2; it belongs to up1.",
        picture="A slightly higher loss.",
    ),
    conditioning(
        name="flow-time-plus-one",
        old="        u = u * self.fc1_t(t)\n",
        new="        u = u * (1 + self.fc1_t(t))\n",
        caught_by=REFERENCE,
        hint="u is multiplied by 1 + t_1: a good idea of other networks, but not the course's.",
        picture="Samples like the others.",
    ),
    conditioning(
        name="flow-dropout-inverted",
        old=MASK,
        new=MASK.replace(">=", "<"),
        caught_by=SHARE,
        hint="The class is kept where it should be dropped: nine in ten are never told.",
        picture="Guided samples are digits of any kind.",
    ),
    conditioning(
        name="flow-dropout-forgotten",
        old=MASK,
        new="mask = torch.ones(len(c), device=x_1.device)",
        caught_by=SHARE,
        hint="No class is ever dropped, so that nothing unconditional is learned.",
        picture="Guided samples with odd strokes: the unconditional velocity was never trained.",
    ),
    conditioning(
        name="flow-mask-of-time",
        old=MASK,
        new="mask = t >= p_uncond",
        caught_by=SHARE,
        hint="Whether the class is dropped depends on t; it should be a chance of its own.",
        picture="The first steps know no unconditional velocity of later times.",
    ),
    conditioning(
        name="one-mask-per-batch",
        old=MASK,
        new=MASK.replace("torch.rand(len(c),", "torch.rand(1,") + "\n"
        "    mask = mask.expand(len(c))",
        caught_by=SHARE,
        hint="The whole batch shares one mask: every picture's class is dropped by a chance of "
        "its own.",
        picture="None to be expected: over many batches the same share is dropped.",
    ),
    conditioning(
        name="mask-not-per-picture",
        old=MASK,
        new=MASK.replace("torch.rand(len(c),", "torch.rand(len(c), 10,"),
        caught_by=SHARE,
        hint="The mask is one number for each picture, (N,); the UNet itself drops the whole "
        "class vector with it.",
        picture="None: the UNet refuses such a mask.",
    ),
    conditioning(
        name="mask-not-drawn",
        old=MASK,
        new="mask = torch.arange(len(c), device=x_1.device) >= p_uncond * len(c)",
        caught_by=SHARE,
        hint="The mask drops a fixed part of the batch; each picture's class is dropped by a "
        "chance of its own, drawn anew.",
        picture="None to be seen in large batches that are shuffled.",
    ),
    conditioning(
        name="mask-on-the-digits",
        old=MASK,
        new=MASK + "\n    c = c * mask",
        caught_by=SHARE,
        hint="The digits themselves are changed, so that another digit is told; hand c on as it "
        "came, for the mask alone says where none is told.",
        picture="Hardly any difference, for the mask drops what was changed; without it the "
        "digit 0 stands for no digit.",
    ),
    conditioning(
        name="call-in-another-order",
        old=CLASS_FORWARD,
        new="    unet.train()\n"
        "    (x_t, c, t, mask), velocity = class_flow_example(x_1, c, p_uncond)\n"
        "    return squared_error(unet, ((x_t, t, c, mask), velocity))",
        caught_by=LOSS,
        hint="What the UNet is called with has changed places.",
        picture="None: the UNet refuses what is no digit.",
    ),
    conditioning(
        name="called-without-mask",
        old=CLASS_FORWARD,
        new="    unet.train()\n"
        "    (x_t, c, t, mask), velocity = class_flow_example(x_1, c, p_uncond)\n"
        "    return squared_error(unet, ((x_t, c, t), velocity))",
        caught_by=LOSS,
        hint="The UNet is not told the mask, so that it knows every class.",
        picture="Guided samples with odd strokes: the unconditional velocity was never trained.",
    ),
    conditioning(
        name="flow-class-and-time-exchanged",
        old=GIVEN,
        new="return (x_t, t, c, mask), velocity",
        caught_by="a share of p_uncond is dropped, whole classes only",
        hint="The UNet takes the digit before the time: c and t have changed places.",
        picture="None: the one-hot vector cannot be made of a time.",
    ),
    conditioning(
        name="class-target-is-the-picture",
        old=GIVEN,
        new="return (x_t, c, t, mask), x_1",
        caught_by=REFERENCE,
        hint="The target is the clean picture; it should be the velocity.",
        picture="A low loss, and samples that keep all their noise.",
    ),
    conditioning(
        name="class-flow-in-eval-mode",
        old=CLASS_FORWARD,
        new=CLASS_FORWARD.replace("unet.train()", "unet.eval()"),
        caught_by=LOSS,
        hint="The UNet is trained in eval mode: BatchNorm never learns its statistics.",
        picture="Training is unstable.",
    ),
    # guidance
    guidance(
        name="w-is-gamma",
        file=EQUATIONS,
        old=V,
        new="    return v_uncond + w * (v_cond - v_uncond)",
        caught_by=W,
        hint="This is the other edition's gamma; w counts from the conditional velocity, w = 0.",
        picture="Guidance one weaker than asked for; at w = 0 the prompt is ignored.",
    ),
    guidance(
        name="w-difference-reversed",
        file=EQUATIONS,
        old=V,
        new="    return v_cond + w * (v_uncond - v_cond)",
        caught_by=W,
        hint="The difference points away from the prompt.",
        picture="Anything but what was asked for.",
    ),
    guidance(
        name="w-conditional-only",
        file=EQUATIONS,
        old=V,
        new="    return (1 + w) * v_cond",
        caught_by=W,
        hint="The unconditional velocity is missing: the result is only stronger.",
        picture="Burnt-out colours.",
    ),
    guidance(
        name="gamma-is-w",
        old=GUIDED,
        new="return u_cond + scale * (u_cond - u_uncond)",
        caught_by=REFERENCE,
        hint="This is the other edition's w; gamma = 1 is the digit's own velocity.",
        picture="Digits a little bolder than asked for.",
    ),
    guidance(
        name="flow-halves-exchanged",
        old="u_uncond, u_cond = unet(",
        new="u_cond, u_uncond = unet(",
        caught_by=REFERENCE,
        hint="The two halves of the answer have changed places.",
        picture="Bold strokes of other digits: guidance pushes away from the one asked for.",
    ),
    guidance(
        name="flow-always-told",
        old="told = torch.cat([torch.zeros_like(c), torch.ones_like(c)])",
        new="told = torch.cat([torch.ones_like(c), torch.ones_like(c)])",
        caught_by=CALLS,
        hint="The digit is told both times, so that guidance has nothing to push along.",
        picture="As with gamma = 1, whatever the scale.",
    ),
    guidance(
        name="flow-never-told",
        old="told = torch.cat([torch.zeros_like(c), torch.ones_like(c)])",
        new="told = torch.cat([torch.zeros_like(c), torch.zeros_like(c)])",
        caught_by=CALLS,
        hint="The digit is told neither time.",
        picture="Digits of any kind.",
    ),
    guidance(
        name="a-digit-for-the-mask",
        old=TOLD + "    times = torch.full((2 * len(x),), t, device=x.device)\n"
        f"    u_uncond, u_cond = {ASKED_FOR}",
        new="    told = torch.ones(2 * len(c), device=x.device)\n"
        "    times = torch.full((2 * len(x),), t, device=x.device)\n"
        "    u_uncond, u_cond = "
        + ASKED_FOR.replace("torch.cat([c, c])", "torch.cat([torch.zeros_like(c), c])"),
        caught_by=CALLS,
        hint="The unconditional velocity is asked with a digit of its own, such as 0 or 10; what "
        "says that there is no digit is a mask of 0.",
        picture="Digits of the right kind, pushed away from a 0; with a 10, an error.",
    ),
    guidance(
        name="times-of-half-the-call",
        old="times = torch.full((2 * len(x),), t, device=x.device)",
        new="times = torch.full((len(x),), t, device=x.device)",
        caught_by=CALLS,
        hint="One call asks about every sample twice, so it wants two times for each.",
        picture="None: the UNet refuses.",
    ),
    guidance(
        name="two-calls-a-step",
        old=TOLD + "    times = torch.full((2 * len(x),), t, device=x.device)\n"
        f"    u_uncond, u_cond = {ASKED_FOR}.chunk(2)",
        new="    times = torch.full((len(x),), t, device=x.device)\n"
        "    u_uncond = unet(x, c, times, torch.zeros_like(c))\n"
        "    u_cond = unet(x, c, times, torch.ones_like(c))",
        caught_by=CALLS,
        hint="The UNet is called more than once a step: put both questions into one batch with "
        "torch.cat, and cut the answer in two.",
        picture="The same pictures, in more time.",
    ),
    guidance(
        name="flow-time-as-index",
        old="times = torch.full((2 * len(x),), t, device=x.device)",
        new="times = torch.full((2 * len(x),), 300 * t, device=x.device)",
        caught_by=CALLS,
        hint="The UNet is told the number of the step; it learned times in [0, 1].",
        picture="None: the UNet refuses times beyond 1. One that takes them gives white squares.",
    ),
    guidance(
        name="flow-time-reversed-in-sampling",
        old="times = torch.full((2 * len(x),), t, device=x.device)",
        new="times = torch.full((2 * len(x),), 1 - t, device=x.device)",
        caught_by=CALLS,
        hint="The UNet is told 1 - t: time runs from noise at 0 to clean at 1 here.",
        picture="Recognisable grey digits in static: at the start the network believes the picture "
        "to be clean.",
    ),
    # three languages
    languages(
        name="v-from-eps-no-division",
        old=FROM_EPS,
        new="    return d_alpha * (x_t - sigma * eps) + d_sigma * eps",
        caught_by=POINT,
        hint="What is left of x_t without its noise is alpha x1: divide by alpha.",
        picture="Too slow near t = 0: grey pictures.",
    ),
    languages(
        name="v-from-eps-sign",
        old=FROM_EPS,
        new="    return d_alpha * (x_t - sigma * eps) / alpha - d_sigma * eps",
        caught_by=POINT,
        hint="The noise's part has the wrong sign; d_sigma is negative already.",
        picture="The noise doubles instead of going away.",
    ),
    languages(
        name="v-from-eps-plus-noise",
        old=FROM_EPS,
        new="    return d_alpha * (x_t + sigma * eps) / alpha + d_sigma * eps",
        caught_by=POINT,
        hint="The noise is added to x_t where it should be taken away.",
        picture="Twice the noise.",
    ),
    languages(
        name="v-without-derivatives",
        old=FROM_EPS,
        new="    return (x_t - sigma * eps) / alpha - eps",
        caught_by=POINT,
        hint="This is x1 - eps: right on the linear path, wrong on every other.",
        picture="Right in flow coordinates; on a cosine path too fast at one end.",
    ),
    languages(
        name="v-alpha-for-its-derivative",
        old=FROM_EPS,
        new="    return alpha * (x_t - sigma * eps) / alpha + d_sigma * eps",
        caught_by=POINT,
        hint="alpha stands where its derivative should.",
        picture="Too slow near t = 0.",
    ),
    languages(
        name="v-from-x1-by-alpha",
        old=FROM_X1,
        new="    return d_alpha * x1 + d_sigma * (x_t - alpha * x1) / alpha",
        caught_by=POINT,
        hint="What is left of x_t without the picture is sigma eps: divide by sigma.",
        picture="Too much noise taken away near t = 0.",
    ),
    languages(
        name="v-from-x1-whole-picture",
        old=FROM_X1,
        new="    return d_alpha * x1 + d_sigma * (x_t - x1) / sigma",
        caught_by=POINT,
        hint="x_t holds alpha of the picture, not all of it.",
        picture="Dark shapes where the picture is.",
    ),
    languages(
        name="eps-from-v-sign",
        old=TO_EPS,
        new="    return (alpha * v - d_alpha * x_t) / (d_alpha * sigma - alpha * d_sigma)",
        caught_by=POINT,
        hint="The noise comes out with the wrong sign.",
        picture="Twice the noise.",
    ),
    languages(
        name="eps-from-v-no-determinant",
        old=TO_EPS,
        new="    return d_alpha * x_t - alpha * v",
        caught_by=POINT,
        hint="The determinant is 1 on the linear path only: divide by it.",
        picture="Right in flow coordinates, too strong or weak elsewhere.",
    ),
    languages(
        name="x1-from-v-plus",
        old=TO_X1,
        new="    return (sigma * v + d_sigma * x_t) / (d_alpha * sigma - alpha * d_sigma)",
        caught_by=POINT,
        hint="d_sigma x_t is to be taken away; d_sigma is negative, so this adds up wrongly.",
        picture="A negative of the picture under noise.",
    ),
    languages(
        name="score-without-scale",
        old=SCORE,
        new="    return t * v - x_t",
        caught_by="the score is -eps / sigma",
        hint="This is -eps; the score is divided by sigma = 1 - t.",
        picture="A noisy sampler that adds too little: grain.",
    ),
    languages(
        name="score-by-t",
        old=SCORE,
        new="    return (t * v - x_t) / t",
        caught_by="the score is -eps / sigma",
        hint="The noise's scale is 1 - t, not t.",
        picture="Infinite at t = 0.",
    ),
    languages(
        name="score-sign",
        old=SCORE,
        new="    return (x_t - t * v) / (1 - t)",
        caught_by="the score is -eps / sigma",
        hint="The score points to more likely pictures, so away from the noise: the sign is wrong.",
        picture="A noisy sampler that runs away.",
    ),
]
