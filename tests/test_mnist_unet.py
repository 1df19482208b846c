"""The course's three UNets: sizes, shapes, conditioning."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from minidiff.errors import UserError
from minidiff.mnist.unet import (
    ClassConditionalUNet,
    Conv,
    DownConv,
    FCBlock,
    Flatten,
    TimeConditionalUNet,
    UnconditionalUNet,
    Unflatten,
    UpConv,
    concat,
)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_parameter_counts_are_the_courses():
    assert parameters(UnconditionalUNet(1, 128)) == 7_891_073
    assert parameters(UnconditionalUNet(1, 64)) == 1_975_361
    assert parameters(TimeConditionalUNet(1, 10, 64)) == 1_996_417
    assert parameters(ClassConditionalUNet(1, 10, 64)) == 2_019_201


@pytest.mark.parametrize(
    ("block", "before", "after"),
    [
        (Conv(3, 5), (3, 14, 14), (5, 14, 14)),
        (DownConv(3, 5), (3, 14, 14), (5, 7, 7)),
        (UpConv(3, 5), (3, 7, 7), (5, 14, 14)),
        (Flatten(), (3, 7, 7), (3, 1, 1)),
        (Unflatten(3), (3, 1, 1), (3, 7, 7)),
        (FCBlock(3, 5), (3,), (5, 1, 1)),
    ],
)
def test_block_shapes(block, before, after):
    assert block(torch.randn(2, *before)).shape == (2, *after)


def test_table_of_the_course_line_by_line():
    """Every row of the UNet table at D = 8, in the course's order."""
    model, D = UnconditionalUNet(1, 8).eval(), 8
    x1, x2, x3, u = model.encode(torch.randn(2, 1, 28, 28))
    assert x1.shape == (2, D, 28, 28) and x2.shape == (2, D, 14, 14)
    assert x3.shape == u.shape == (2, 2 * D, 7, 7)
    assert model.flatten(x3).shape == (2, 2 * D, 1, 1)
    up1 = model.up1(concat(u, x3))
    up2 = model.up2(concat(up1, x2))
    assert up1.shape == (2, D, 14, 14) and up2.shape == (2, D, 28, 28)
    assert model.conv_out(concat(up2, x1)).shape == (2, D, 28, 28)
    assert model.decode(up1, x2, x1).shape == (2, 1, 28, 28)
    assert isinstance(model.out, nn.Conv2d) and model.out.kernel_size == (3, 3)


def fixed_blocks(model: nn.Module, **values: float) -> None:
    """Make conditioning blocks answer one number, whatever they are given."""
    for name, value in values.items():
        block = getattr(model, name)
        nn.init.zeros_(block[2].weight)
        nn.init.constant_(block[2].bias, value)


def test_time_is_added():
    model = TimeConditionalUNet(1, 10, 4).eval()
    plain = UnconditionalUNet(1, 4).eval()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("fc")})
    x, t = torch.randn(2, 1, 28, 28), torch.rand(2)
    fixed_blocks(model, fc1_t=0.0, fc2_t=0.0)
    torch.testing.assert_close(model(x, t), plain(x))
    fixed_blocks(model, fc1_t=0.7, fc2_t=-0.3)
    x1, x2, x3, u = plain.encode(x)
    expected = plain.decode(plain.up1(concat(u + 0.7, x3)) - 0.3, x2, x1)
    torch.testing.assert_close(model(x, t), expected)


def test_class_is_multiplied_then_time_added():
    model = ClassConditionalUNet(1, 10, 4).eval()
    x, c, t = torch.randn(2, 1, 28, 28), torch.tensor([3, 4]), torch.rand(2)
    fixed_blocks(model, fc1_c=2.0, fc2_c=0.5, fc1_t=0.7, fc2_t=-0.3)
    x1, x2, x3, u = model.encode(x)
    expected = model.decode(0.5 * model.up1(concat(2 * u + 0.7, x3)) - 0.3, x2, x1)
    torch.testing.assert_close(model(x, c, t), expected)


def test_mask_drops_the_whole_class_vector():
    model = ClassConditionalUNet(1, 10, 4).eval()
    x, t = torch.randn(1, 1, 28, 28).expand(10, -1, -1, -1), torch.full((10,), 0.3)
    c = torch.arange(10)
    dropped = model(x, c, t, torch.zeros(10))
    torch.testing.assert_close(dropped, dropped[:1].expand_as(dropped))  # no class is left
    half = model(x, c, t, torch.tensor([0.0, 1.0] * 5))
    torch.testing.assert_close(half[0::2], dropped[0::2])
    torch.testing.assert_close(half[1::2], model(x, c, t)[1::2])
    seen = []
    model.fc1_c.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(x, c, t, torch.tensor([0.0, 1.0] * 5))
    assert torch.equal(seen[0], F.one_hot(c, 10) * torch.tensor([0.0, 1.0] * 5)[:, None])


def test_pictures_of_another_size_are_refused():
    with pytest.raises(UserError, match=r"28x28.*\(2, 1, 32, 32\)"):
        UnconditionalUNet(1, 4)(torch.randn(2, 1, 32, 32))
