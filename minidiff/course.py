"""The course's functions under the course's names: what section 1.x of the project asks for.

Each is a few lines over the one loop in sampling.py. Where the notebook uses globals (stage_1, a
global seed), these take the model and a source of noise that all steps of one picture share.

    model = minidiff.load()
    noise = SeededNoise([180], device=model.device)  # pictures belong on that device, too
    text, null = model.encode(["a high quality photo"]), model.encode([""])
    im_noisy = forward(model, im, 690, noise)
    clean = iterative_denoise_cfg(model, im_noisy, 10, text, null, noise)

Pictures, masks, timesteps and states may come as the course's cells have them: from numpy or PIL,
in half precision, on another device, one picture without its batch; and prompts as text.
io/inputs.py makes them right, or refuses them in a sentence.
"""

from torch import Tensor

from minidiff.deepfloyd.unet import Cond
from minidiff.equations import add_noise, forward_process, learned_range_log_variance
from minidiff.errors import UserError
from minidiff.guidance import CFG, Anagram, Guidance, Hybrid, Plain
from minidiff.io.inputs import network_pictures, one_number, pictures, timesteps_of
from minidiff.io.inputs import scale as strength
from minidiff.noise import SeededNoise
from minidiff.sampling import denoise, keep_outside, last
from minidiff.schedule import course_pairs, strided_timesteps
from minidiff.views import FlipUpDown, View


def forward(model, im: Tensor, t: int, noise: SeededNoise) -> Tensor:
    """1.1: pictures (B, 3, H, W) in [-1, 1], noised to timestep t."""
    im = ready(model, im)
    t = timesteps_of(t, len(im), len(model.schedule))
    return forward_process(im, model.schedule.abar(t, like=im), fitted(noise, im).draw())


def add_variance(
    model, predicted_variance: Tensor, t: int, t_prev: int, image: Tensor, noise: SeededNoise
) -> Tensor:
    """1.4: add v_sigma for the step t -> t_prev to the mean `image`, all (B, 3, H, W)."""
    image = ready(model, image)
    v = network_pictures(predicted_variance, 3, image.dtype, image.device)
    t, t_prev = one_number(t, "t"), one_number(t_prev, "t_prev")
    if t_prev >= t:
        raise UserError(f"a step goes down: from t = {t} to a smaller t_prev, not to {t_prev}")
    abar, abar_prev = (model.schedule.abar(s, like=image) for s in (t, t_prev))
    log_variance = learned_range_log_variance(v, abar, abar_prev)
    return add_noise(image, log_variance, fitted(noise, image).draw())


def iterative_denoise(
    model, im_noisy: Tensor, i_start: int, prompt_embeds: Tensor, noise: SeededNoise, timesteps=None
) -> Tensor:
    """1.4 and 1.5: denoise from timesteps[i_start] down, without guidance."""
    im_noisy = ready(model, im_noisy)
    guidance = Plain(rows(model, prompt_embeds, len(im_noisy)))
    return walk(model, im_noisy, guidance, i_start, noise, timesteps)


def iterative_denoise_cfg(
    model,
    im_noisy: Tensor,
    i_start: int,
    prompt_embeds: Tensor,
    uncond_prompt_embeds: Tensor,
    noise: SeededNoise,
    timesteps=None,
    scale: float = 7.0,
) -> Tensor:
    """1.6: the same with classifier-free guidance; scale 1 is iterative_denoise."""
    im_noisy = ready(model, im_noisy)
    n = len(im_noisy)
    guidance = CFG(
        rows(model, prompt_embeds, n), rows(model, uncond_prompt_embeds, n), strength(scale)
    )
    return walk(model, im_noisy, guidance, i_start, noise, timesteps)


def inpaint(
    model,
    original_image: Tensor,
    mask: Tensor,
    prompt_embeds: Tensor,
    uncond_prompt_embeds: Tensor,
    noise: SeededNoise,
    timesteps=None,
    scale: float = 7.0,
) -> Tensor:
    """1.7.2: new content where mask is 1, the original elsewhere; starts from pure noise."""
    original_image = ready(model, original_image)
    n, noise = len(original_image), fitted(noise, original_image)
    guidance = CFG(
        rows(model, prompt_embeds, n), rows(model, uncond_prompt_embeds, n), strength(scale)
    )
    keep = keep_outside(original_image, mask, model.schedule, noise)
    pairs = course_pairs(strided_timesteps() if timesteps is None else timesteps)
    steps = denoise(
        model.fast_unet, model.schedule, noise.draw(), pairs, guidance, noise, after_step=keep
    )
    return last(steps)


def visual_anagrams(
    model,
    image: Tensor,
    i_start: int,
    prompt_embeds: Tensor,
    prompt_embeds_flipped: Tensor,
    uncond_prompt_embeds: Tensor,
    noise: SeededNoise,
    timesteps=None,
    scale: float = 7.0,
) -> Tensor:
    """1.8: one prompt upright, the other upside down (flip of dim -2)."""
    image = ready(model, image)
    conds = tuple(rows(model, p, len(image)) for p in (prompt_embeds, prompt_embeds_flipped))
    uncond = rows(model, uncond_prompt_embeds, len(image))
    guidance = Anagram(conds, uncond, (View(), FlipUpDown()), strength(scale))
    return walk(model, image, guidance, i_start, noise, timesteps)


def make_hybrids(
    model,
    image: Tensor,
    i_start: int,
    prompt_embeds_far: Tensor,
    prompt_embeds_near: Tensor,
    uncond_prompt_embeds: Tensor,
    noise: SeededNoise,
    timesteps=None,
    scale: float = 7.0,
) -> Tensor:
    """1.9: low frequencies follow the far prompt, high ones the near prompt."""
    image = ready(model, image)
    embeds = (prompt_embeds_far, prompt_embeds_near, uncond_prompt_embeds)
    far, near, uncond = (rows(model, p, len(image)) for p in embeds)
    return walk(model, image, Hybrid(far, near, uncond, strength(scale)), i_start, noise, timesteps)


# --- what the functions above share --------------------------------------------------------------


def walk(model, x: Tensor, guidance: Guidance, i_start: int, noise, timesteps) -> Tensor:
    """The loop from timesteps[i_start] to the end of the list; (B, 3, H, W)."""
    pairs = course_pairs(strided_timesteps() if timesteps is None else timesteps)
    noise = fitted(noise, x)
    return last(denoise(model.fast_unet, model.schedule, x, pairs, guidance, noise, start=i_start))


def ready(model, images) -> Tensor:
    """Pictures of any kind as (B, 3, H, W) on the model's device."""
    if not hasattr(model, "schedule"):
        raise UserError(
            f"these functions take a model, minidiff.load() or studio.model, as their first"
            f" argument, and not a {type(model).__name__}"
        )
    return pictures(images, model.device, size=model.sample_size)


def fitted(noise: SeededNoise, x: Tensor) -> SeededNoise:
    """The noise, drawing where the pictures are; UserError unless there is a seed for each."""
    if not isinstance(noise, SeededNoise):
        raise UserError(
            f"noise is a SeededNoise, for example SeededNoise([180]), not a {type(noise).__name__}"
        )
    return noise.fit(x)


def rows(model, prompt_embeds: Tensor, n: int) -> Cond:
    """Text states, or texts, of one prompt or of n as what the UNet wants for n pictures."""
    texts = [prompt_embeds] if isinstance(prompt_embeds, str) else prompt_embeds
    if isinstance(texts, (list, tuple)) and all(isinstance(text, str) for text in texts):
        prompt_embeds = model.encode(list(texts))
    cond = model.unet.prepare(prompt_embeds)
    if len(cond) not in (1, n):
        raise UserError(f"give one prompt, or one for each of {n} pictures, not {len(cond)}")
    return cond.take([0] * n) if len(cond) == 1 else cond
