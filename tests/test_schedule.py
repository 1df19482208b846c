"""Schedules and walks: known values, the reference's steps, and what is refused."""

import math
import re

import pytest
import torch
from by_rule import step_inputs
from layers import relative_error
from reference_files import read_reference

from minidiff.equations import (
    add_noise,
    dynamic_threshold,
    learned_range_log_variance,
    posterior_mean,
    x0_from_eps,
)
from minidiff.errors import UserError
from minidiff.schedule import (
    NAMED_TIMESTEPS,
    Schedule,
    check_timesteps,
    cosine_schedule,
    course_pairs,
    leading_timesteps,
    linear_schedule,
    named_timesteps,
    pipeline_pairs,
    strided_timesteps,
)

REFERENCE, _ = read_reference("schedule")
WALKS = sorted(key.removesuffix("/x") for key in REFERENCE if key.endswith("/x"))
LIKE = torch.zeros(1, 3, 4, 4)


# --- parity with the committed reference outputs ----------------------------------------------


def test_abar_is_the_reference_s():
    abars = cosine_schedule().abars
    assert abars.dtype == torch.float64
    assert relative_error(abars, REFERENCE["abar"]) < 1e-6
    # In relative terms float32 loses digits where abar is tiny.
    assert float((abars / REFERENCE["abar"] - 1).abs().max()) < 1e-4


@pytest.mark.parametrize("name", NAMED_TIMESTEPS)
def test_named_walks_are_the_reference_s(name):
    assert named_timesteps(name) == REFERENCE[f"named/{name}"].tolist()


@pytest.mark.parametrize("steps", [1, 7, 20, 27])
def test_leading_walks_are_the_reference_s(steps):
    assert leading_timesteps(steps) == REFERENCE[f"leading {steps}/t"].tolist()


@pytest.mark.parametrize("walk", WALKS)
def test_every_step_is_the_reference_s(walk):
    """x_t -> x_{t_prev} as the official pipeline does it, from the equations: every t of a walk."""
    schedule = cosine_schedule()
    pairs = pipeline_pairs(REFERENCE[f"{walk}/t"].tolist())
    for (t, t_prev), reference in zip(pairs, REFERENCE[f"{walk}/x"], strict=True):
        inputs = step_inputs(t)
        eps, v = inputs["answer"].chunk(2, dim=1)
        abar, abar_prev = (schedule.abar(s, like=LIKE) for s in (t, t_prev))
        x0 = dynamic_threshold(x0_from_eps(inputs["x"], eps, abar))
        x = posterior_mean(inputs["x"], x0, abar, abar_prev)
        if t > 0:
            log_variance = learned_range_log_variance(v, abar, abar_prev)
            x = add_noise(x, log_variance, inputs["noise"])
        # Near t = 0 both work with 1 - abar of some 1e-4, of which float32 keeps few digits.
        assert relative_error(x, reference) < (1e-5 if t > 20 else 2e-4), f"{t} -> {t_prev}"


# --- schedules --------------------------------------------------------------------------------


def test_cosine_schedule_has_the_known_values():
    """Spot values of IDDPM's schedule, worked out apart from this code."""
    schedule = cosine_schedule()
    assert float(schedule.betas[0]) == pytest.approx(4.1284e-5, rel=1e-4)
    last = [0.3600, 0.4375, 0.5556, 0.7500, 0.9990]
    assert schedule.betas[-5:].tolist() == pytest.approx(last, abs=5e-5)
    known = {0: 0.999959, 250: 0.84589, 500: 0.49229, 990: 1.9672e-4, 998: 2.43e-6, 999: 2.429e-9}
    for t, abar in known.items():
        assert float(schedule.abars[t]) == pytest.approx(abar, rel=2e-3 if t > 990 else 2e-5)


def test_cosine_schedule_follows_its_curve():
    """Up to the clipped last beta, abar_t is f((t + 1) / T) / f(0)."""

    def f(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    abars = cosine_schedule().abars
    for t in (0, 1, 10, 333, 500, 998):
        assert float(abars[t]) == pytest.approx(f((t + 1) / 1000) / f(0), rel=1e-9)


def test_linear_schedule_includes_both_ends():
    schedule = linear_schedule(1e-4, 0.02, 300)
    assert len(schedule) == 300
    assert float(schedule.betas[0]) == 1e-4
    assert float(schedule.betas[-1]) == 0.02
    gaps = schedule.betas.diff()
    assert torch.allclose(gaps, gaps[0].expand(299), rtol=1e-9, atol=0)


@pytest.mark.parametrize("schedule", [cosine_schedule(), linear_schedule()])
def test_abar_falls_from_near_one_to_near_zero(schedule):
    abars = schedule.abars
    assert bool((abars.diff() < 0).all())
    assert 0.999 < float(abars[0]) < 1
    assert 0 < float(abars[-1]) < 0.1


def test_abar_takes_numbers_and_batches_and_means_clean_before_the_first():
    schedule = cosine_schedule()
    assert schedule.abar(-1, like=LIKE).item() == 1
    assert schedule.abar(3, like=LIKE).shape == (1, 1, 1, 1)
    batch = schedule.abar(torch.tensor([999, -1, 0]), like=LIKE)
    assert batch.shape == (3, 1, 1, 1)
    assert batch.dtype == torch.float32
    assert batch[1].item() == 1
    assert batch[0].item() == pytest.approx(float(schedule.abars[999]))
    assert schedule.abar(5, like=LIKE.double()).item() == float(schedule.abars[5])


@pytest.mark.parametrize("t", [-2, 1000, torch.tensor([0, 1000])])
def test_abar_refuses_times_outside(t):
    with pytest.raises(UserError, match="outside -1..999"):
        cosine_schedule().abar(t, like=LIKE)


def test_a_schedule_cannot_be_changed():
    with pytest.raises(AttributeError):
        cosine_schedule().betas = torch.ones(3)


# --- walks ------------------------------------------------------------------------------------


def test_course_walk_ends_at_zero():
    pairs = course_pairs()
    assert len(pairs) == 33
    assert pairs[0] == (990, 960)
    assert pairs[-1] == (30, 0)
    assert all(a - b == 30 for a, b in pairs)


def test_pipeline_walk_has_one_step_more():
    pairs = pipeline_pairs(strided_timesteps())
    assert len(pairs) == 34
    assert pairs[-1] == (0, -1)


@pytest.mark.parametrize("steps", [1, 2, 7, 20, 27, 30, 100, 150, 999, 1000])
def test_walks_connect(steps):
    """Each step begins where the one before ended, whatever the stride."""
    pairs = pipeline_pairs(leading_timesteps(steps))
    assert len(pairs) == steps
    assert [end for _, end in pairs[:-1]] == [begin for begin, _ in pairs[1:]]
    assert pairs[-1] == (0, -1)


def test_leading_walk_of_a_stride_that_does_not_divide_starts_below_999():
    assert leading_timesteps(150)[0] == 894  # 1000 // 150 = 6, 149 * 6
    assert leading_timesteps(27)[0] == 962


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_refuses_step_counts_outside(steps):
    with pytest.raises(UserError, match=f"not {steps}"):
        leading_timesteps(steps)


@pytest.mark.parametrize("walk", [[], [0, 10], [10, 10, 0], [1000, 0], [5, -1]])
def test_refuses_walks_that_do_not_fall(walk):
    with pytest.raises(UserError, match="timesteps must fall"):
        check_timesteps(walk)
    with pytest.raises(UserError, match="timesteps must fall"):
        pipeline_pairs(walk)


def test_refuses_unknown_names():
    with pytest.raises(
        UserError, match="called 'fast28': give a number of steps, or course, or one of fast27, "
    ):
        named_timesteps("fast28")


def test_schedule_is_float64_whatever_comes_in():
    assert Schedule(torch.tensor([0.1, 0.2])).abars.dtype == torch.float64


def test_the_linear_schedule_is_the_courses():
    schedule = linear_schedule()
    betas = 1 - schedule.abars[1:] / schedule.abars[:-1]
    assert len(schedule) == 300
    assert float(1 - schedule.abars[0]) == pytest.approx(1e-4)
    assert float(betas[-1]) == pytest.approx(0.02)


def test_a_stride_that_does_not_divide_the_start_ends_above_zero():
    assert strided_timesteps(10, 4) == [10, 6, 2]
    assert strided_timesteps(11, 4) == [11, 7, 3]
    assert strided_timesteps(3, 4) == [3]


def test_a_walk_of_ones_own():
    assert course_pairs([60, 30, 0]) == [(60, 30), (30, 0)]
    with pytest.raises(UserError, match="must fall"):
        check_timesteps([60, 20, 30])


def test_a_wrong_walk_is_told_by_its_ends():
    told = (
        "fall from at most 999 to at least 0 without repeats; got [9, 8, 7, 6]...[5, 5] (6 entries)"
    )
    with pytest.raises(UserError, match=re.escape(told)):
        check_timesteps([9, 8, 7, 6, 5, 5])


def test_abar_is_where_the_picture_is():
    on_meta = cosine_schedule().abar(500, like=torch.empty(1, device="meta"))
    assert on_meta.device.type == "meta" and on_meta.shape == (1, 1, 1, 1)
