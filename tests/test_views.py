"""The views of anagrams: undone by their inverse, white noise stays white, frames move between."""

import math

import pytest
import torch

from minidiff.errors import UserError
from minidiff.views import VIEWS, FlipUpDown, Permute

PAPER = 1.0  # what a turning picture uncovers


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_undone_by_their_inverse_and_keep_noise_white(name):
    view = VIEWS[name]
    x = noise(2, 3, 64, 64)
    assert torch.equal(view.inverse(view.view(x)), x)
    # Each pixel of the view is one pixel of the picture, perhaps negated.
    assert torch.equal(
        view.view(x).abs().flatten(2).sort().values, x.abs().flatten(2).sort().values
    )
    for s in (0.0, 0.3, 1.0):
        frame = view.frame(x, s)
        assert frame.shape == x.shape and frame.isfinite().all()


def test_the_flip_is_upside_down_not_left_right():
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    assert FlipUpDown().view(x).flatten().tolist() == [2, 3, 0, 1]


def test_a_negated_view_negates_the_estimate_but_not_the_variance():
    v = torch.tensor([[0.3]])
    assert VIEWS["negate"].inverse_variance(v).item() == pytest.approx(0.3)
    assert VIEWS["negate"].inverse(v).item() == pytest.approx(-0.3)


@pytest.mark.parametrize("name", ["flip", "rotate180", "negate", "skew", "permute16", "permute1"])
def test_views_of_a_wide_picture_are_undone_too(name):
    x = noise(2, 3, 32, 48)
    assert VIEWS[name].view(x).shape == x.shape
    assert torch.equal(VIEWS[name].inverse(VIEWS[name].view(x)), x)


@pytest.mark.parametrize("view", VIEWS.values(), ids=lambda view: view.name)
def test_views_work_where_the_picture_is(view):
    x = torch.empty(2, 3, 32, 32, device="meta")
    for seen in (view.view(x), view.inverse(x)):
        assert seen.device.type == "meta" and seen.shape == x.shape


@pytest.mark.parametrize("view", VIEWS.values(), ids=lambda view: view.name)
def test_a_view_moves_from_the_picture_to_what_it_shows(view):
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(view.frame(x, 0.0), x)
    torch.testing.assert_close(view.frame(x, 1.0), view.view(x), atol=1e-5, rtol=0)


def test_the_flip_turns_about_a_flat_middle():
    x = torch.zeros(1, 1, 16, 12)
    x[..., :8, :] = -1.0  # the upper half black
    middle = VIEWS["flip"].frame(x, 0.5)
    assert middle.shape == x.shape
    assert int((middle == 1.0).all(-1).sum()) == 14  # two rows of picture, paper above and below
    assert middle[0, 0, 7:9, 0].tolist() == [0.0, -1.0]  # it shows its second side already
    assert VIEWS["flip"].frame(x, 0.49)[0, 0, 7, 0] == -1.0
    assert VIEWS["flip"].frame(x, 0.51)[0, 0, 8, 0] == -1.0


def test_the_flip_squeezes_by_averages():
    x = torch.zeros(1, 1, 16, 4)
    x[..., ::2, :] = 1.0
    half = VIEWS["flip"].frame(x, 1 / 3)[0, 0, 4:12]  # cos 60° = 1/2: 16 rows in the room of 8
    torch.testing.assert_close(half, torch.full_like(half, 0.5))


def test_the_circle_is_three_quarters_of_the_picture():
    disc = VIEWS["circle"].disc(torch.zeros(1, 1, 64, 64))
    assert int(disc.sum()) == pytest.approx(math.pi * 24**2, rel=0.01)
    assert not disc[:8].any()


def test_skew_moves_each_column_down_by_its_number():
    x = torch.zeros(1, 1, 4, 4)
    x[..., 0, :] = 1.0
    assert torch.equal(VIEWS["skew"].view(x)[0, 0], torch.eye(4))


def test_skew_is_half_way_when_each_column_has_gone_half_its_number():
    x = torch.zeros(1, 1, 8, 8)
    x[..., 0, :] = 1.0
    half = VIEWS["skew"].frame(x, 0.5)[0, 0]
    assert [int(half[:, column].argmax()) for column in (0, 2, 4, 6)] == [0, 1, 2, 3]


def test_a_turning_page_lies_on_paper():
    frame = VIEWS["rotate180"].frame(torch.full((1, 3, 16, 16), -1.0), 0.25)
    assert float(frame[0, 0, 0, 0]) == PAPER
    assert float(frame[0, 0, 8, 8]) == -1.0


@pytest.mark.parametrize("name", ["rotate90", "circle"])
def test_a_turning_picture_has_soft_edges(name):
    x = torch.zeros(1, 1, 32, 32)
    x[..., :16, :] = 1.0
    frame = VIEWS[name].frame(x, 0.4)
    assert bool(((frame > 0.1) & (frame < 0.9)).any())


def test_the_circle_is_on_the_device_of_the_picture():
    assert VIEWS["circle"].disc(torch.empty(1, 1, 8, 8, device="meta")).device.type == "meta"


def test_pieces_must_fill_the_picture():
    with pytest.raises(UserError, match="64 x 64 pixels cannot be cut into squares of 24"):
        Permute(24).view(noise(1, 3, 64, 64))


@pytest.mark.parametrize("s", [0.1, 0.37, 0.5, 0.8])
def test_a_turning_page_has_no_outline(s):
    page = torch.full((1, 3, 16, 16), PAPER)
    torch.testing.assert_close(VIEWS["rotate90"].frame(page, s), page)
