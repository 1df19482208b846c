"""The loop, the guidances and the seeds, on models whose answer is known in closed form."""

import math

import pytest
import torch
from torch import nn

from minidiff.deepfloyd.unet import Cond
from minidiff.equations import dynamic_threshold, forward_process
from minidiff.errors import UserError
from minidiff.guidance import CFG, Anagram, Factorized, Guidance, Hybrid, Plain, course_low_pass
from minidiff.noise import SeededNoise
from minidiff.sampling import denoise, keep_outside, last, noised_start
from minidiff.schedule import (
    cosine_schedule,
    course_pairs,
    leading_timesteps,
    pipeline_pairs,
    strided_timesteps,
)
from minidiff.views import FlipUpDown, View

SCHEDULE = cosine_schedule()
SHAPE = (3, 8, 8)


def prompt(*means: float) -> Cond:
    """A Cond whose only content is the mean of the pictures it asks for."""
    return Cond(torch.tensor(means)[:, None], (), ())


class GaussianModel(nn.Module):
    """The optimal eps for data ~ N(mean, std^2) per pixel, the mean being the prompt.

    E[x0 | x_t] is linear in x_t, so the sampler's result is known: data of that mean and spread.
    """

    def __init__(self, std: float = 0.5, v: float = -1.0):
        super().__init__()
        self.dtype = torch.float32
        self.std, self.v = std, v
        self.calls: list[int] = []

    def forward(self, x, t, cond):
        self.calls.append(len(x))
        abar = SCHEDULE.abar(t, like=x)
        mean = cond.pooled[:, :, None, None]
        gain = abar**0.5 * self.std**2 / (abar * self.std**2 + 1 - abar)
        x0 = mean + gain * (x - abar**0.5 * mean)
        eps = (x - abar**0.5 * x0) / (1 - abar) ** 0.5
        return torch.cat([eps, torch.full_like(eps, self.v)], dim=1)


def run(model, guidance, seeds, pairs=None, **options):
    noise = SeededNoise(seeds, SHAPE)
    x = options.pop("x", None)
    x = noise.draw() if x is None else x
    pairs = course_pairs() if pairs is None else pairs
    return last(denoise(model, SCHEDULE, x, pairs, guidance, noise, **options))


def test_the_walk_samples_gaussian_data_with_its_mean_and_spread():
    pairs = pipeline_pairs(leading_timesteps(500))
    x = run(GaussianModel(std=0.5), Plain(prompt(*[0.3] * 64)), range(64), pairs)
    assert x.mean().item() == pytest.approx(0.3, abs=0.02)
    assert x.std().item() == pytest.approx(0.5, rel=0.05)


def test_a_point_mass_is_reached_exactly_when_the_walk_ends_at_x0():
    pairs = pipeline_pairs(leading_timesteps(10))
    x = run(GaussianModel(std=0.0), Plain(prompt(0.7)), [1], pairs)
    torch.testing.assert_close(x, torch.full_like(x, 0.7), atol=1e-3, rtol=0)


def test_the_course_walk_ends_at_t_0_and_keeps_a_trace_of_noise():
    x = run(GaussianModel(std=0.0, v=1.0), Plain(prompt(0.7)), [1])
    assert 0.001 < (x - 0.7).std().item() < 0.1


@pytest.mark.parametrize("seeds", [[7], [7, 8], [6, 7]])
def test_a_seed_gives_the_same_picture_in_any_batch(seeds):
    alone = run(GaussianModel(v=1.0), Plain(prompt(0.0)), [7])
    together = run(GaussianModel(v=1.0), Plain(prompt(*[0.0] * len(seeds))), seeds)
    assert torch.equal(together[seeds.index(7)], alone[0])


def test_cfg_at_1_is_the_conditional_and_at_0_the_unconditional_estimate():
    cond, uncond, model = prompt(0.5), prompt(-0.5), GaussianModel(v=0.0)
    torch.testing.assert_close(
        run(model, CFG(cond, uncond, 1.0), [3]), run(model, Plain(cond), [3]), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        run(model, CFG(cond, uncond, 0.0), [3]), run(model, Plain(uncond), [3]), atol=1e-5, rtol=0
    )


def test_guidance_overshoots_the_conditional_mean_by_its_scale():
    pairs = pipeline_pairs(leading_timesteps(20))
    x = run(GaussianModel(std=0.0), CFG(prompt(0.2), prompt(0.1), 7.0), [3], pairs)
    torch.testing.assert_close(x, torch.full_like(x, 0.1 + 7 * 0.1), atol=2e-3, rtol=0)


def test_an_anagram_of_one_prompt_twice_is_that_prompt():
    c, u, model = prompt(0.4), prompt(0.0), GaussianModel(v=0.0)
    same = run(model, Anagram((c, c), u, (View(), FlipUpDown()), 7.0), [5])
    torch.testing.assert_close(same, run(model, CFG(c, u, 7.0), [5]), atol=1e-4, rtol=0)


def test_a_hybrid_of_one_prompt_twice_is_that_prompt():
    c, u, model = prompt(0.4), prompt(0.0), GaussianModel(v=0.0)
    hybrid = Hybrid(c, c, u, 7.0, low_pass=lambda x: x.mean((2, 3), keepdim=True).expand_as(x))
    torch.testing.assert_close(
        run(model, hybrid, [5]), run(model, CFG(c, u, 7.0), [5]), atol=1e-4, rtol=0
    )


def test_a_hybrid_takes_its_mean_from_the_far_prompt_alone():
    far, near = prompt(0.4), prompt(-0.9)
    hybrid = Hybrid(far, near, prompt(0.0), 1.0, low_pass=lambda x: x.mean((2, 3), keepdim=True))
    x = run(GaussianModel(std=0.0), hybrid, [5], pipeline_pairs(leading_timesteps(10)))
    assert x.mean().item() == pytest.approx(0.4, abs=1e-3)


def test_factorized_with_the_hybrid_parts_is_the_hybrid():
    far, near, u = prompt(0.4), prompt(-0.9), prompt(0.0)
    shape = (3, 64, 64)
    x = torch.randn(1, *shape)
    answers = [(torch.randn(1, *shape), torch.zeros(1, *shape)) for _ in range(3)]
    parts = (course_low_pass, lambda e: e - course_low_pass(e))
    ours = Factorized((far, near), u, parts).combine(answers)[0]
    torch.testing.assert_close(ours, Hybrid(far, near, u).combine(answers)[0], atol=1e-5, rtol=0)
    assert x.shape == ours.shape


def test_one_batched_call_a_step_whatever_the_guidance():
    c, u = prompt(0.4, 0.4), prompt(0.0, 0.0)
    for guidance, queries in [
        (Plain(c), 1),
        (CFG(c, u), 2),
        (Anagram((c, c), u, (View(), FlipUpDown())), 4),
    ]:
        model = GaussianModel()
        run(model, guidance, [1, 2])
        assert model.calls == [2 * queries] * 33


def test_pictures_join_the_walk_where_their_level_begins():
    pairs, starts = course_pairs(), [1, 5, 20]
    x0, noise, model = torch.zeros(3, *SHAPE), SeededNoise([1, 2, 3], SHAPE), GaussianModel()
    x = noised_start(x0, pairs, starts, SCHEDULE, noise)
    guidance = Plain(prompt(0.0, 0.0, 0.0))
    steps = list(denoise(model, SCHEDULE, x, pairs, guidance, noise, start=starts))
    assert [s.t for s in steps][:2] == [960, 930] and len(steps) == 32
    assert model.calls == [1] * 4 + [2] * 15 + [3] * 13
    assert torch.equal(steps[3].x[2], x[2]) and not torch.equal(steps[3].x[0], x[0])


def test_sdedit_batched_equals_sdedit_alone():
    pairs, starts = course_pairs(), [1, 5, 20]
    x0 = torch.full((1, *SHAPE), 0.2)

    def edit(starts):
        n = len(starts)
        noise = SeededNoise([9] * n, SHAPE)
        x = noised_start(x0.expand(n, -1, -1, -1), pairs, starts, SCHEDULE, noise)
        guidance = Plain(prompt(*[0.0] * n))
        return run_from(x, guidance, noise, starts)

    def run_from(x, guidance, noise, starts):
        model = GaussianModel(v=0.5)
        return last(denoise(model, SCHEDULE, x, pairs, guidance, noise, start=starts))

    together = edit(starts)
    for i, start in enumerate(starts):
        torch.testing.assert_close(together[i], edit([start])[0], atol=1e-6, rtol=0)


def test_a_late_start_stays_closer_to_the_original():
    pairs, starts = course_pairs(), [1, 10, 20, 30]
    x0 = torch.full((4, *SHAPE), 0.9)
    noise = SeededNoise([9] * 4, SHAPE)
    x = noised_start(x0, pairs, starts, SCHEDULE, noise)
    guidance = Plain(prompt(*[0.0] * 4))
    done = last(denoise(GaussianModel(), SCHEDULE, x, pairs, guidance, noise, start=starts))
    distance = (done - x0).square().mean((1, 2, 3))
    assert (distance[1:] < distance[:-1]).all()


def test_inpainting_keeps_everything_outside_the_mask():
    original = torch.full((1, *SHAPE), 0.9)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    noise = SeededNoise([4], SHAPE)
    keep = keep_outside(original, mask, SCHEDULE, noise)
    pairs = course_pairs()
    x = last(
        denoise(
            GaussianModel(std=0.0), SCHEDULE, noise.draw(), pairs, Plain(prompt(-0.5)), noise,
            after_step=keep,
        )
    )  # fmt: skip
    torch.testing.assert_close(x[..., 4:], original[..., 4:], atol=0.05, rtol=0)
    torch.testing.assert_close(x[..., :4], torch.full_like(x[..., :4], -0.5), atol=0.05, rtol=0)


def test_the_threshold_sees_every_estimate():
    pairs = pipeline_pairs(leading_timesteps(10))
    x = run(GaussianModel(std=0.0), Plain(prompt(5.0)), [1], pairs, threshold=dynamic_threshold)
    assert x.abs().max().item() <= 1.0 + 1e-4


def test_a_fixed_variance_replaces_the_answer():
    one = run(GaussianModel(v=1.0), Plain(prompt(0.0)), [1], fixed_v=-1.0)
    assert torch.equal(one, run(GaussianModel(v=-1.0), Plain(prompt(0.0)), [1]))


def test_seeds_and_starts_out_of_range_say_so():
    with pytest.raises(UserError, match="seed"):
        SeededNoise([-1])
    with pytest.raises(UserError, match="^give at least one seed$"):
        SeededNoise([])
    with pytest.raises(UserError, match="i_start must be 0 to 32"):
        run(GaussianModel(), Plain(prompt(0.0)), [1], start=33)
    with pytest.raises(UserError, match="2 pictures need 2 start indices; got 3"):
        noised_start(torch.zeros(2, *SHAPE), course_pairs(), [1, 2, 3], SCHEDULE, SeededNoise([1]))
    with pytest.raises(UserError, match="mask is 4x6 but the picture is 8x7"):
        picture, mask = torch.zeros(1, 3, 7, 8), torch.zeros(1, 1, 6, 4)
        keep_outside(picture, mask, SCHEDULE, SeededNoise([1]))


def test_pictures_and_walks_that_cannot_be_walked_say_so():
    plain = Plain(prompt(0.0))
    with pytest.raises(UserError, match="no steps"):
        run(GaussianModel(), plain, [1], pairs=[])
    with pytest.raises(UserError, match="float16: use x.float"):
        x = torch.zeros(1, *SHAPE, dtype=torch.float16)
        last(denoise(GaussianModel(), SCHEDULE, x, course_pairs(), plain, SeededNoise([1], SHAPE)))
    with pytest.raises(UserError, match="uint8 cannot be noised"):
        SCHEDULE.abar(30, like=torch.zeros(1, *SHAPE, dtype=torch.uint8))


def test_a_mask_may_be_bool_and_never_in_bytes():
    picture, half = torch.full((1, *SHAPE), 0.9), torch.zeros(1, 1, 8, 8)
    half[..., :4] = 1
    x, blends = torch.zeros(1, *SHAPE), []
    for mask in (half, half.bool()):
        blends.append(keep_outside(picture, mask, SCHEDULE, SeededNoise([4], SHAPE))(x, 30, [0]))
    assert torch.equal(*blends)
    with pytest.raises(UserError, match="0 \\(keep\\) to 1"):
        keep_outside(picture, half * 255, SCHEDULE, SeededNoise([4], SHAPE))


def test_each_part_or_view_needs_a_prompt():
    with pytest.raises(UserError, match="2 parts need as many prompts; got 3"):
        Factorized((prompt(0.0),) * 3, prompt(0.0), (lambda x: x,) * 2)
    with pytest.raises(UserError, match="2 views need as many prompts; got 1"):
        Anagram((prompt(0.0),), prompt(0.0), (View(), View()))


def test_noise_is_one_draw_after_another_from_the_seed():
    a, b = SeededNoise([3], SHAPE), SeededNoise([9, 3], SHAPE)
    first = a.draw()
    assert torch.equal(first[0], b.draw()[1])
    assert torch.equal(a.draw()[0], b.draw([1])[0])
    assert not torch.equal(first, SeededNoise([4], SHAPE).draw())


def test_noised_start_is_the_forward_process_at_its_level():
    pairs = course_pairs(strided_timesteps())
    x0 = torch.full((2, *SHAPE), 0.5)
    x = noised_start(x0, pairs, [10, 20], SCHEDULE, SeededNoise([1, 2], SHAPE))
    eps = SeededNoise([1, 2], SHAPE).draw()
    for i, t in enumerate((690, 390)):
        expected = forward_process(x0[i], SCHEDULE.abar(t, like=x0)[0], eps[i])
        torch.testing.assert_close(x[i], expected)


def test_low_pass_is_a_gaussian_of_two_pixels():
    x = torch.zeros(1, 1, 65, 65)
    x[..., 32, 32] = 1.0
    row = course_low_pass(x)[0, 0, 32]
    assert float(row[34] / row[32]) == pytest.approx(math.exp(-(2**2) / (2 * 2.0**2)), rel=1e-4)
    assert int((row > 0).sum()) == 33


def test_an_anagram_turns_each_answer_back_and_takes_the_first_variance():
    ramp = torch.arange(4.0)[:, None].expand(1, 3, 4, 4)  # brighter towards the bottom
    answers = [(n + ramp, 10 * n + ramp) for n in range(4)]
    conds, nothing = (prompt(0.0), prompt(0.0)), prompt(0.0)
    for views in ((View(), FlipUpDown()), (FlipUpDown(), View())):
        eps, v = Anagram(conds, nothing, views, scale=3.0).combine(answers)
        first, second = 0 + 3.0 * (1 - 0) + ramp, 2 + 3.0 * (3 - 2) + ramp
        turned = [view.inverse(x) for view, x in zip(views, (first, second))]
        torch.testing.assert_close(eps, (turned[0] + turned[1]) / 2)
        torch.testing.assert_close(v, views[0].inverse(10 + ramp))


def test_a_split_takes_the_variance_of_the_prompt_named_first():
    answers = [(torch.full((1, 3, 4, 4), n), torch.full((1, 3, 4, 4), 10.0 * n)) for n in range(3)]
    halves = (lambda x: x / 2, lambda x: x / 2)
    split = Factorized((prompt(0.0), prompt(0.0)), prompt(0.0), halves)
    assert float(split.combine(answers)[1].unique()) == 10.0


def test_inpainting_draws_noise_for_the_rows_that_move():
    noise = SeededNoise([3, 4, 5], SHAPE)
    original, mask = torch.zeros(3, *SHAPE), torch.zeros(1, 1, *SHAPE[1:])
    kept = keep_outside(original, mask, SCHEDULE, noise)(torch.ones(1, *SHAPE), 500, [1])
    expected = SeededNoise([4], SHAPE).draw() * (1 - SCHEDULE.abar(500, like=kept)) ** 0.5
    torch.testing.assert_close(kept, expected)


def test_the_largest_seed():
    assert SeededNoise([2**63 - 1], SHAPE).draw().shape == (1, *SHAPE)
    with pytest.raises(UserError, match=str(2**63)):
        SeededNoise([2**63], SHAPE)


def test_only_the_step_from_t_0_is_without_noise():
    clean, noise = Plain(prompt(0.0)), SeededNoise([1], SHAPE)
    x = torch.zeros(1, *SHAPE)
    for pairs, moves in [([(1, 0)], True), ([(1, -1)], True), ([(0, -1)], False)]:
        drawn = last(denoise(GaussianModel(std=0.0, v=1.0), SCHEDULE, x, pairs, clean, noise))
        assert bool(drawn.abs().max() > 1e-3) == moves


def test_the_network_answers_in_its_own_precision_and_the_walk_keeps_its_own():
    seen = []

    class Precise(GaussianModel):
        def forward(self, x, t, cond):
            seen.append(x.dtype)
            return super().forward(x, t, cond)

    model, noise = Precise(), SeededNoise([1], SHAPE)
    model.dtype = torch.float64
    walk = denoise(model, SCHEDULE, noise.draw(), [(990, 960)], Plain(prompt(0.0)), noise)
    step = next(walk)
    assert seen == [torch.float64]
    assert step.eps.dtype == step.x0.dtype == step.x.dtype == torch.float32


def test_noise_is_drawn_on_the_cpu_and_brought_to_the_device():
    assert SeededNoise([1], SHAPE, device="meta").draw().device.type == "meta"


def test_a_guidance_must_say_how_its_answers_combine():
    with pytest.raises(TypeError, match="^Guidance must say how its answers combine$"):
        Guidance().combine([])
