"""Every step equation of the project, one pure function each. This is the file to change.

Tensors in, tensor out: the noise is an argument and so is abar, nothing is looked up, nothing is
random, nothing knows about devices. The DeepFloyd loops of Part A and the MNIST models of Part B
call the same functions, and no formula is written down anywhere else.

Symbols (equation numbers "A.n" and "B.n" are the course's)
    x0         the clean picture, (B, C, H, W)
    x_t        the picture at timestep t: sqrt(abar) x0 + sqrt(1 - abar) eps
    eps        Gaussian noise, or the UNet's estimate of it, same shape
    abar       cumulative product of alphas at t: 1 = clean, 0 = pure noise. A number, or a tensor
               that broadcasts against x_t, (B, 1, 1, 1) when every picture has its own t
    abar_prev  abar at t_prev, the (less noisy) level the step goes to; 1 when the step ends at x0

References
    DDPM     Ho, Jain, Abbeel 2020, arXiv 2006.11239
    DDIM     Song, Meng, Ermon 2020, arXiv 2010.02502
    IDDPM    Nichol, Dhariwal 2021, arXiv 2102.09672
    CFG      Ho, Salimans 2022, arXiv 2207.12598
    Imagen   Saharia et al. 2022, arXiv 2205.11487
    RePaint  Lugmayr et al. 2022, arXiv 2201.09865
    EDM      Karras et al. 2022, arXiv 2206.00364
    DPM++    Lu et al. 2022, arXiv 2211.01095
    Flow matching   Lipman et al. 2022, arXiv 2210.02747
    Rectified flow  Liu, Gong, Liu 2022, arXiv 2209.03003
    SiT             Ma et al. 2024, arXiv 2401.08740
"""

import torch
from torch import Tensor


def forward_process(x0: Tensor, abar: Tensor, eps: Tensor) -> Tensor:
    """Noise a clean picture to level abar: a draw from q(x_t | x0).  Course A.2, DDPM eq. 4."""
    # x_t = sqrt(abar) x0 + sqrt(1 - abar) eps
    return abar**0.5 * x0 + (1 - abar) ** 0.5 * eps


def x0_from_eps(x_t: Tensor, eps: Tensor, abar: Tensor) -> Tensor:
    """The clean picture that x_t and its noise imply: A.2 solved for x0.  DDPM eq. 15."""
    # x0 = (x_t - sqrt(1 - abar) eps) / sqrt(abar)
    return (x_t - (1 - abar) ** 0.5 * eps) / abar**0.5


def eps_from_x0(x_t: Tensor, x0: Tensor, abar: Tensor) -> Tensor:
    """The noise in x_t if x0 is the clean picture: A.2 solved for eps.  DDPM eq. 9."""
    # eps = (x_t - sqrt(abar) x0) / sqrt(1 - abar)
    return (x_t - abar**0.5 * x0) / (1 - abar) ** 0.5


def posterior_mean(x_t: Tensor, x0: Tensor, abar: Tensor, abar_prev: Tensor) -> Tensor:
    """Mean of x_{t_prev} given x_t and x0, for a step of any stride.  Course A.3, DDPM eq. 7.

    alpha and beta are those of the whole stride, abar / abar_prev, not of one timestep.
    """
    alpha = abar / abar_prev
    beta = 1 - alpha
    # sqrt(abar') beta / (1 - abar) x0  +  sqrt(alpha) (1 - abar') / (1 - abar) x_t
    from_x0 = abar_prev**0.5 * beta / (1 - abar)
    from_x_t = alpha**0.5 * (1 - abar_prev) / (1 - abar)
    return from_x0 * x0 + from_x_t * x_t


def posterior_variance(abar: Tensor, abar_prev: Tensor) -> Tensor:
    """Variance of x_{t_prev} given x_t and x0, the smallest a step may have.  DDPM eq. 7."""
    # (1 - abar') / (1 - abar) * beta
    return (1 - abar_prev) / (1 - abar) * (1 - abar / abar_prev)


def learned_range_log_variance(v: Tensor, abar: Tensor, abar_prev: Tensor) -> Tensor:
    """Log-variance of a step from the UNet's last three channels v in [-1, 1].  IDDPM eq. 15.

    v = -1 gives the posterior variance, v = +1 gives beta; in between, the logarithms are mixed.
    """
    beta = 1 - abar / abar_prev
    smallest = posterior_variance(abar, abar_prev).clamp(min=1e-20)  # it is 0 for a step onto x0
    mix = (v + 1) / 2
    return mix * beta.log() + (1 - mix) * smallest.log()


def add_noise(mean: Tensor, log_variance: Tensor, eps: Tensor) -> Tensor:
    """The random half of a step: v_sigma of course A.3 is the standard deviation times eps."""
    return mean + (0.5 * log_variance).exp() * eps


def ddim_step(
    x0: Tensor, eps: Tensor, z: Tensor, abar: Tensor, abar_prev: Tensor, eta: float = 0.0
) -> Tensor:
    """x_{t_prev} by the forward process, with estimates in place of the truth.  DDIM eq. 12, 16.

    z is fresh noise. eta says how much of the noise is z: none at 0, and at 1 as much as a step of
    A.3 adds with the posterior variance. The rest is eps, the noise that was there.
    """
    # sqrt(abar') x0 + sqrt(1 - abar' - sigma^2) eps + sigma z,  sigma^2 = eta^2 posterior variance
    variance = eta**2 * posterior_variance(abar, abar_prev)
    kept = (1 - abar_prev - variance).clamp(min=0)  # rounding may lead below 0
    return abar_prev**0.5 * x0 + kept**0.5 * eps + variance**0.5 * z


def half_log_snr(abar: Tensor) -> Tensor:
    """lambda = log(sqrt(abar) / sqrt(1 - abar)): grows as the noise goes.  DPM++ section 2.1."""
    return 0.5 * (abar / (1 - abar)).log()


def dpm_step(
    x_t: Tensor,
    x0: Tensor,
    abar: Tensor,
    abar_prev: Tensor,
    x0_last: Tensor | None = None,
    abar_last: Tensor | None = None,
) -> Tensor:
    """x_{t_prev} from x_t and the last two estimates of x0.  DPM++ algorithm 2 (2M).

    x0_last, abar_last   the estimate of the step before and the level it was made at. Without
                         them the step is of first order: DPM++ eq. 9, the same as DDIM's at eta 0.
    """
    if x0_last is not None:  # x0 as it would be halfway, by the slope between the two estimates
        now = half_log_snr(abar)
        h, h_last = half_log_snr(abar_prev) - now, now - half_log_snr(abar_last)
        # D = (1 + h / (2 h_last)) x0 - h / (2 h_last) x0_last
        x0 = x0 + h / (2 * h_last) * (x0 - x0_last)
    # sigma'/sigma x_t + (sqrt(abar') - sqrt(abar) sigma'/sigma) x0,  sigma = sqrt(1 - abar)
    ratio = ((1 - abar_prev) / (1 - abar)) ** 0.5
    return ratio * x_t + (abar_prev**0.5 - abar**0.5 * ratio) * x0


def heun_correction(
    x_prev: Tensor, x0: Tensor, x0_there: Tensor, abar: Tensor, abar_prev: Tensor
) -> Tensor:
    """A step taken anew, with the mean of the slopes at both its ends.  EDM algorithm 1, line 8.

    x_prev is where the slope at x_t led (DDIM with eta 0), x0 the estimate there was at x_t and
    x0_there the one at x_prev. With EDM's sigma the slope at a picture is (x / sqrt(abar) - x0) /
    sigma, and the two differ by what is left when the x's cancel:
    """
    # x_prev + sqrt(abar') (sigma / sigma' - 1) / 2 (x0_there - x0),  sigma^2 = (1 - abar) / abar
    ratio = ((1 - abar) / abar * abar_prev / (1 - abar_prev)) ** 0.5
    return x_prev + abar_prev**0.5 * (ratio - 1) / 2 * (x0_there - x0)


def classifier_free_guidance(eps_uncond: Tensor, eps_cond: Tensor, scale: float) -> Tensor:
    """Push the estimate along what the prompt changes.  Course A.4, CFG eq. 6 with w = scale - 1.

    scale 0 ignores the prompt, 1 is the plain conditional estimate, 7 is the course's value.
    """
    # eps = eps_u + gamma (eps_c - eps_u)
    return eps_uncond + scale * (eps_cond - eps_uncond)


def static_threshold(x0: Tensor, limit: float = 1.0) -> Tensor:
    """An over-guided x0 clipped to [-limit, limit], where pictures lie.  Imagen section 2.3."""
    return x0.clamp(-limit, limit)


def dynamic_threshold(x0: Tensor, ratio: float = 0.95, max_value: float = 1.5) -> Tensor:
    """Squeeze an over-guided x0 back into [-1, 1].  Imagen section 2.3.

    s is the ratio-quantile of |x0| of each picture, kept in [1, max_value]; x0 is clipped to
    [-s, s] and divided by s.
    """
    s = torch.quantile(x0.flatten(1).abs().float(), ratio, dim=1)  # (B,)
    s = s.clamp(1, max_value).to(x0.dtype)[:, None, None, None]
    return x0.clamp(-s, s) / s


def inpaint_blend(x_t: Tensor, x_orig_t: Tensor, mask: Tensor) -> Tensor:
    """Keep what was made inside the mask, the original outside.  Course A.5, RePaint eq. 8.

    mask is 1 where new content goes. x_orig_t is the original *noised to the level x_t has now*.
    """
    # x_t <- m x_t + (1 - m) forward(x_orig, t)
    return mask * x_t + (1 - mask) * x_orig_t


def anagram_estimate(estimates: list[Tensor]) -> Tensor:
    """One estimate from several, each already turned back upright by its view.  Course 1.8."""
    # eps = (eps_1 + eps_2) / 2
    return sum(estimates) / len(estimates)


def hybrid_estimate(eps_far: Tensor, eps_near: Tensor, low_pass) -> Tensor:
    """Low frequencies of one estimate, high frequencies of the other.  Course 1.9.

    low_pass is a function picture -> blurred picture; high-pass is what it takes away.
    """
    # eps = lowpass(eps_1) + highpass(eps_2),  highpass(e) = e - lowpass(e)
    return low_pass(eps_far) + (eps_near - low_pass(eps_near))


def add_sigma_noise(x: Tensor, sigma: float | Tensor, eps: Tensor) -> Tensor:
    """What the one-step denoiser of Part B is given: noise is added, nothing scaled.  Course B.2.

    sigma is a number, or (B, 1, 1, 1) when every picture has its own.
    """
    # z = x + sigma eps
    return x + sigma * eps


def ddpm_step(x_t: Tensor, eps: Tensor, z: Tensor, abar: Tensor, abar_prev: Tensor) -> Tensor:
    """One step of the MNIST sampler, from t to t - 1.  Course algorithm B.2, DDPM algorithm 2.

    z is fresh noise, zero on the last step. Its scale is sqrt(beta), not the posterior's.
    """
    beta = 1 - abar / abar_prev
    x0 = x0_from_eps(x_t, eps, abar)
    return posterior_mean(x_t, x0, abar, abar_prev) + beta**0.5 * z


def gaussian_kl(mean: Tensor, log_var: Tensor, mean2: Tensor, log_var2: Tensor) -> Tensor:
    """KL(N(mean, var) || N(mean2, var2)) per element, nats: trains the variance.  IDDPM eq. 4."""
    distance = (mean - mean2) ** 2 * (-log_var2).exp()
    return 0.5 * (log_var2 - log_var + (log_var - log_var2).exp() + distance - 1)


# --- flow matching --------------------------------------------------------------------------------
# Time runs the other way in these: t = 0 is noise and t = 1 is clean, a number or (B, 1, 1, 1). The
# course's x_1 is the clean picture, called x1 here, and its x_0 is the noise, called eps here.


def linear_path(x1: Tensor, eps: Tensor, t: float | Tensor) -> Tensor:
    """The point at time t of the straight way from noise to a picture.  Course B.3, A.1 of fa26.

    Rectified flow, eq. 1; flow matching, eq. 22 with sigma_min = 0.
    """
    # x_t = (1 - t) eps + t x1
    return (1 - t) * eps + t * x1


def linear_velocity(x1: Tensor, eps: Tensor) -> Tensor:
    """d x_t / dt of that way, the same at every t: from the noise to the picture.  Course B.4."""
    # u = x1 - eps
    return x1 - eps


def euler_step(x_t: Tensor, v: Tensor, h: float) -> Tensor:
    """From time t to t + h along the velocity at t.  Course algorithm B.2, A.3 of fa26."""
    # x_{t+h} = x_t + h v
    return x_t + h * v


def x1_from_velocity(x_t: Tensor, v: Tensor, t: float | Tensor) -> Tensor:
    """The picture where the linear path ends if v stays as it is.  Course A.2 of fa26."""
    # x1 = x_t + (1 - t) v
    return x_t + (1 - t) * v


def guide_velocity(v_uncond: Tensor, v_cond: Tensor, w: float) -> Tensor:
    """Guidance with the course's w of fa26, A.4: w = 0 is the conditional velocity.

    It is classifier_free_guidance at gamma = w + 1, which counts from the unconditional one.
    """
    # v = v_c + w (v_c - v_u)
    return v_cond + w * (v_cond - v_uncond)


# Any path x_t = alpha x1 + sigma eps is three languages for one estimate: eps, x1 and the velocity
# v = d_alpha x1 + d_sigma eps, where d_alpha and d_sigma are the derivatives by t. The linear path
# has alpha = t, sigma = 1 - t, d_alpha = 1, d_sigma = -1.  SiT, section 2.


def velocity_from_eps(x_t, eps, alpha, sigma, d_alpha, d_sigma) -> Tensor:
    """The velocity that an estimate of the noise means, on any path.  SiT, eq. 6 and 7."""
    # x1 = (x_t - sigma eps) / alpha,  v = d_alpha x1 + d_sigma eps
    return d_alpha * (x_t - sigma * eps) / alpha + d_sigma * eps


def velocity_from_x1(x_t, x1, alpha, sigma, d_alpha, d_sigma) -> Tensor:
    """The velocity that an estimate of the clean picture means, on any path."""
    # eps = (x_t - alpha x1) / sigma,  v = d_alpha x1 + d_sigma eps
    return d_alpha * x1 + d_sigma * (x_t - alpha * x1) / sigma


def eps_from_velocity(x_t, v, alpha, sigma, d_alpha, d_sigma) -> Tensor:
    """The noise that a velocity means: both lines above, solved for eps; sound at every t."""
    # eps = (d_alpha x_t - alpha v) / (d_alpha sigma - alpha d_sigma)
    return (d_alpha * x_t - alpha * v) / (d_alpha * sigma - alpha * d_sigma)


def x1_from_path_velocity(x_t, v, alpha, sigma, d_alpha, d_sigma) -> Tensor:
    """The clean picture that a velocity means, on any path; x1_from_velocity on the linear one."""
    # x1 = (sigma v - d_sigma x_t) / (d_alpha sigma - alpha d_sigma)
    return (sigma * v - d_sigma * x_t) / (d_alpha * sigma - alpha * d_sigma)


def score_from_velocity(x_t: Tensor, v: Tensor, t: float | Tensor) -> Tensor:
    """The gradient of the log-density at time t < 1 of the linear path, -eps / sigma.

    It is what a noisy sampler adds to the velocity.  SiT, eq. 9; DDPM's eps, divided by its scale.
    """
    # s = (t v - x_t) / (1 - t)
    return (t * v - x_t) / (1 - t)
