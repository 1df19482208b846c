"""Wrong versions of the step equations: see mutation.py for what the fields mean."""

from functools import partial

from minidiff.grade.mistakes.mutation import Mutation

FILE = "minidiff/equations.py"
wrong = partial(Mutation, file=FILE)

FORWARD = "return abar**0.5 * x0 + (1 - abar) ** 0.5 * eps"
forward = partial(wrong, exercise="forward_process", scene="forward", old=FORWARD)
PICTURE, NOISE = (
    "the picture's coefficient is sqrt(abar)",
    "the noise's coefficient is sqrt(1 - abar)",
)

INVERT = "return (x_t - (1 - abar) ** 0.5 * eps) / abar**0.5"
invert = partial(wrong, exercise="x0_from_eps", scene="onestep", old=INVERT)
INVERTED = "coefficients of x_t and eps"

mean = partial(wrong, exercise="posterior_mean", scene="sample")
FROM_X0 = "from_x0 = abar_prev**0.5 * beta / (1 - abar)"
FROM_X_T = "from_x_t = alpha**0.5 * (1 - abar_prev) / (1 - abar)"

variance = partial(wrong, exercise="learned_variance", scene="sample")
POSTERIOR = "return (1 - abar_prev) / (1 - abar) * (1 - abar / abar_prev)"

cfg = partial(
    wrong,
    exercise="classifier_free_guidance",
    scene="sample",
    old="return eps_uncond + scale * (eps_cond - eps_uncond)",
)

threshold = partial(wrong, exercise="dynamic_threshold", scene="pipeline")

EQUATIONS = [
    # 1.1
    forward(
        name="forward-picture-not-scaled",
        new="return x0 + (1 - abar) ** 0.5 * eps",
        caught_by=PICTURE,
        hint="Noise is added, but the picture keeps its full strength: its variance grows with t.",
        picture="The original shows through at t = 750, too bright and too rich in contrast.",
    ),
    forward(
        name="forward-picture-no-root",
        new="return abar * x0 + (1 - abar) ** 0.5 * eps",
        caught_by=PICTURE,
        hint="The picture is scaled by a variance. Which power of abar scales an amplitude?",
        picture="The picture fades too early: at t = 500 it is half as strong as it should be.",
    ),
    forward(
        name="forward-noise-no-root",
        new="return abar**0.5 * x0 + (1 - abar) * eps",
        caught_by=NOISE,
        hint="The noise is scaled by its variance, not by its standard deviation.",
        picture="Too little noise at small t: the picture at t = 250 looks nearly clean.",
    ),
    forward(
        name="forward-no-roots",
        new="return abar * x0 + (1 - abar) * eps",
        caught_by=PICTURE,
        hint="Both weights are variances: their roots are missing.",
        picture="Too little noise at small t, too little picture at large t.",
    ),
    forward(
        name="forward-swapped",
        new="return (1 - abar) ** 0.5 * x0 + abar**0.5 * eps",
        caught_by=PICTURE,
        hint="Picture and noise have exchanged their weights: abar near 1 means clean.",
        picture="The series runs backwards: noisy at t = 250, the tower appears at t = 750.",
    ),
    forward(
        name="forward-noise-subtracted",
        new="return abar**0.5 * x0 - (1 - abar) ** 0.5 * eps",
        caught_by=NOISE,
        hint="The noise enters with the wrong sign. The picture looks right, but eps is not its "
        "noise any more.",
        picture="Nothing can be seen in the noised picture, for noise is symmetric; the one-step "
        "estimate of 1.3 then doubles the noise.",
    ),
    # 1.3
    invert(
        name="x0-noise-not-scaled",
        new="return (x_t - eps) / abar**0.5",
        caught_by=INVERTED,
        hint="eps has variance 1; in x_t there is less of it. It is subtracted unscaled.",
        picture="Early estimates look right; at small t noise appears where there was none.",
    ),
    invert(
        name="x0-not-divided",
        new="return x_t - (1 - abar) ** 0.5 * eps",
        caught_by=INVERTED,
        hint="The noise is gone, but what is left is still the scaled-down picture.",
        picture="The estimate is grey and pale, the paler the larger t.",
    ),
    invert(
        name="x0-divided-by-abar",
        new="return (x_t - (1 - abar) ** 0.5 * eps) / abar",
        caught_by=INVERTED,
        hint="The division undoes more than the forward process did: a root is missing below.",
        picture="Harsh contrast: at t = 750 all pixels are driven to black, white or pure colours.",
    ),
    invert(
        name="x0-noise-added",
        new="return (x_t + (1 - abar) ** 0.5 * eps) / abar**0.5",
        caught_by=INVERTED,
        hint="The estimated noise is added where it should be taken away.",
        picture="Twice the noise: the estimate is noisier than its input.",
    ),
    invert(
        name="x0-noise-no-root",
        new="return (x_t - (1 - abar) * eps) / abar**0.5",
        caught_by=INVERTED,
        hint="The noise that is subtracted is scaled by a variance instead of its root.",
        picture="A veil of noise is left at small t, where 1 - abar is much less than its root.",
    ),
    # 1.4
    mean(
        name="mean-x_t-abar-for-abar_prev",
        old=FROM_X_T,
        new="from_x_t = alpha**0.5 * (1 - abar) / (1 - abar)",
        caught_by="coefficient of x_t",
        hint="The weight of x_t mixes up the two levels: is its 1 - abar that of where the step "
        "goes, or of where it comes from?",
        picture="x_t keeps too much weight, its noise is never taken away: a bright, noisy blur.",
    ),
    mean(
        name="mean-x0-abar-for-abar_prev",
        old=FROM_X0,
        new="from_x0 = abar**0.5 * beta / (1 - abar)",
        caught_by="coefficient of x0",
        hint="The weight of x0 takes its root from the level the step leaves.",
        picture="The picture comes out pale: a little of x0 is lost at every step.",
    ),
    mean(
        name="mean-x0-no-root",
        old=FROM_X0,
        new="from_x0 = abar_prev * beta / (1 - abar)",
        caught_by="coefficient of x0",
        hint="A square root is missing in the weight of x0.",
        picture="Darker and greyer shapes: early steps lose most of x0.",
    ),
    mean(
        name="mean-no-roots",
        old=f"{FROM_X0}\n    {FROM_X_T}",
        new="from_x0 = abar_prev * beta / (1 - abar)\n"
        "    from_x_t = alpha * (1 - abar_prev) / (1 - abar)",
        caught_by="coefficient of x0",
        hint="Both weights lack a square root.",
        picture="Nearly right, under a fine grain: the two mistakes partly make up for each other.",
    ),
    mean(
        name="mean-alpha-upside-down",
        old="alpha = abar / abar_prev",
        new="alpha = abar_prev / abar",
        caught_by="coefficient of x0",
        hint="alpha is upside down: it is above 1, and so beta is negative.",
        picture="A grey fog with faint coloured swirls: x0 is subtracted.",
    ),
    mean(
        name="mean-x_t-no-root",
        old=FROM_X_T,
        new="from_x_t = alpha * (1 - abar_prev) / (1 - abar)",
        caught_by="coefficient of x_t",
        hint="A square root is missing in the weight of x_t.",
        picture="Too little of x_t survives: smooth, flat shapes with less detail.",
    ),
    mean(
        name="mean-weights-swapped",
        old="return from_x0 * x0 + from_x_t * x_t",
        new="return from_x0 * x_t + from_x_t * x0",
        caught_by="coefficient of x0",
        hint="Both weights are right, but each stands with the other picture.",
        picture="The first step already jumps to the first blurred guess and it freezes there.",
    ),
    mean(
        name="mean-one-timestep-beta",
        old="beta = 1 - alpha",
        new="beta = (1 - alpha) / 30",
        caught_by="coefficient of x0",
        hint="beta is far too small: it looks like that of a single timestep, where the step has a "
        "stride of many.",
        picture="x0 is hardly let in: the noise fades to a grey fog with no picture in it.",
    ),
    mean(
        name="mean-alpha-is-abar",
        old="alpha = abar / abar_prev",
        new="alpha = abar",
        caught_by="coefficient of x0",
        hint="alpha here is the product of all steps. Only those of this stride should be in it.",
        picture="Pale and blurred: every step acts as if it came from pure noise.",
    ),
    mean(
        name="mean-divided-by-abar_prev",
        old=FROM_X0,
        new="from_x0 = abar_prev**0.5 * beta / (1 - abar_prev)",
        caught_by="coefficient of x0",
        hint="The weight of x0 is divided by the 1 - abar of the wrong level.",
        picture="Values explode towards the end: hard, saturated blobs.",
    ),
    mean(
        name="mean-x0-beta-missing",
        old=FROM_X0,
        new="from_x0 = abar_prev**0.5 / (1 - abar)",
        caught_by="coefficient of x0",
        hint="A factor is missing in the weight of x0: the two weights together are too heavy.",
        picture="Explodes to pure black, white and primary colours within a few steps.",
    ),
    # 1.4, variance
    variance(
        name="variance-posterior-upside-down",
        old=POSTERIOR,
        new="return (1 - abar) / (1 - abar_prev) * (1 - abar / abar_prev)",
        caught_by="posterior variance",
        hint="The smallest variance came out larger than beta: a fraction is upside down.",
        picture="Grain over the whole picture.",
    ),
    variance(
        name="variance-posterior-is-beta",
        old=POSTERIOR,
        new="return 1 - abar / abar_prev",
        caught_by="posterior variance",
        hint="The posterior variance is smaller than beta: knowing x0 tells something about where "
        "x_t came from.",
        picture="A fine grain at the end of the walk.",
    ),
    variance(
        name="variance-mixed-linearly",
        old="return mix * beta.log() + (1 - mix) * smallest.log()",
        new="return (mix * beta + (1 - mix) * smallest).log()",
        caught_by="in between, logarithms are mixed",
        hint="Both ends are right, but between them the variances are mixed, not their logarithms.",
        picture="Hardly to be seen with a stride of 30; grain in the last steps.",
    ),
    variance(
        name="variance-v-not-halved",
        old="mix = (v + 1) / 2",
        new="mix = v",
        caught_by="v = -1 and v = +1 are the two ends",
        hint="v runs from -1 to 1; the mixture wants a share from 0 to 1.",
        picture="Nearly no noise is added where v is negative: flat, over-smooth shapes.",
    ),
    variance(
        name="variance-ends-swapped",
        old="return mix * beta.log() + (1 - mix) * smallest.log()",
        new="return (1 - mix) * beta.log() + mix * smallest.log()",
        caught_by="v = -1 and v = +1 are the two ends",
        hint="v = +1 should be the larger of the two variances.",
        picture="A little too much or too little noise at every step; grain or flat shapes.",
    ),
    variance(
        name="variance-as-standard-deviation",
        old="return mean + (0.5 * log_variance).exp() * eps",
        new="return mean + log_variance.exp() * eps",
        caught_by="noise is scaled by the standard deviation",
        hint="The noise is scaled by the variance; v_sigma is a standard deviation times eps.",
        picture="Far too little noise is put back: smooth, washed-out shapes without detail.",
    ),
    variance(
        name="variance-log-used-as-is",
        old="return mean + (0.5 * log_variance).exp() * eps",
        new="return mean + 0.5 * log_variance * eps",
        caught_by="noise is scaled by the standard deviation",
        hint="A logarithm is used as a scale: it has to be turned back first.",
        picture="Nothing but noise: the 'scale' is a number like -3 at every step.",
    ),
    variance(
        name="variance-not-clamped",
        old=".clamp(min=1e-20)  # it is 0 for a step onto x0",
        new="",
        caught_by="a step onto the clean picture has a finite log-variance",
        hint="The smallest variance is 0 for a step onto the clean picture, and log 0 is not a "
        "number one can go on with.",
        picture="Fine in the course's walk; NaN, a black picture, in one that ends on x0.",
    ),
    # 1.6
    cfg(
        name="cfg-swapped",
        new="return eps_cond + scale * (eps_uncond - eps_cond)",
        caught_by="scale 0 ignores the prompt",
        hint="The two estimates have changed places: the picture is pushed away from the prompt.",
        picture="Anything but what was asked for, in shrill colours.",
    ),
    cfg(
        name="cfg-one-plus-w",
        new="return eps_cond + scale * (eps_cond - eps_uncond)",
        caught_by="scale 0 ignores the prompt",
        hint="This is another paper's convention, where w = 0 is the prompt's own estimate. The "
        "course's gamma is w + 1.",
        picture="As if guided by 8: a little more contrast; 0 and 1 no longer mean what they say.",
    ),
    cfg(
        name="cfg-sum",
        new="return eps_uncond + scale * (eps_cond + eps_uncond)",
        caught_by="scale 1 is the prompt's estimate",
        hint="Guidance goes along a direction, the difference of the two estimates.",
        picture="The noise estimate is many times too large: noise or a saturated plane.",
    ),
    cfg(
        name="cfg-difference-only",
        new="return scale * (eps_cond - eps_uncond)",
        caught_by="scale 0 ignores the prompt",
        hint="The push is there, but not what is to be pushed.",
        picture="Noise that is never removed.",
    ),
    cfg(
        name="cfg-nothing-subtracted",
        new="return eps_uncond + scale * eps_cond",
        caught_by="scale 1 is the prompt's estimate",
        hint="The prompt's whole estimate is added. Where both agree, nothing should be added.",
        picture="The noise estimate is many times too large: the picture burns out at once.",
    ),
    # A.0
    threshold(
        name="threshold-not-divided",
        old="return x0.clamp(-s, s) / s",
        new="return x0.clamp(-s, s)",
        caught_by="the result lies in [-1, 1]",
        hint="Clipped to [-s, s], but s is above 1: the second half of the squeeze is missing.",
        picture="Over-saturated colours, as with no threshold at all.",
    ),
    threshold(
        name="threshold-sign-kept",
        old="x0.flatten(1).abs().float()",
        new="x0.flatten(1).float()",
        caught_by="each picture has its own quantile of |x0|",
        hint="The quantile is that of the values; dark extremes do not count in it.",
        picture="Dark pictures lose their depth, bright ones are right.",
    ),
    threshold(
        name="threshold-one-for-the-batch",
        old="s = torch.quantile(x0.flatten(1).abs().float(), ratio, dim=1)  # (B,)",
        new="s = torch.quantile(x0.flatten().abs().float(), ratio).expand(len(x0))",
        caught_by="each picture has its own quantile of |x0|",
        hint="The pictures of the batch share their quantile: each has one of its own, of its "
        "pixels alone.",
        picture="A picture looks different in another batch: paler beside a shrill one.",
    ),
    threshold(
        name="threshold-below-one",
        old="s = s.clamp(1, max_value)",
        new="s = s.clamp(max=max_value)",
        caught_by="a picture already within [-1, 1] is left alone",
        hint="s may fall below 1: a picture that needs no squeezing is stretched.",
        picture="Contrast is pumped up at every step: posters of black and white.",
    ),
    threshold(
        name="threshold-no-top",
        old="s = s.clamp(1, max_value)",
        new="s = s.clamp(min=1)",
        caught_by="s is at most max_value",
        hint="s has no upper bound: single bright pixels dim the whole picture.",
        picture="Pale pictures at high guidance.",
    ),
]
