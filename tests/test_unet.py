"""The UNet gives the reference's numbers, has the official keys, and refuses what does not fit."""

import math

import pytest
import torch
from by_rule import fill, unet_inputs
from configs import OFFICIAL_UNETS, UNETS, unet_config
from layers import first_difference, recorded, relative_error, sampled
from reference_files import read_keys, read_layers, read_reference

from minidiff.deepfloyd.unet import Cond, UNet, sinusoid
from minidiff.deepfloyd.unet_config import UNetConfig
from minidiff.errors import UserError
from minidiff.fast import split

SMALL = UNETS["odd head counts"]


@pytest.fixture(scope="module")
def unet() -> UNet:
    return make(SMALL)


def make(config: dict) -> UNet:
    return fill(UNet(UNetConfig.from_dict(config)))


@torch.no_grad()
def run(unet: UNet, inputs: dict, text=None):
    if text is not None:
        return unet(inputs["x"], inputs["t"], text)
    return unet(inputs["x"], inputs["t"], inputs["text"], inputs.get("level"))


# --- parity with the committed reference outputs ----------------------------------------------


@pytest.mark.parametrize("name", UNETS)
def test_output_is_the_reference_s(name):
    unet = make(UNETS[name])
    with recorded(unet, sampled) as layers:
        answer = run(unet, unet_inputs(UNETS[name]))
    reference = read_reference("unet")[0][f"{name}/output"]
    wrong = first_difference(layers, read_layers("unet", name))
    assert wrong is None, f"{name}: {wrong}"
    assert relative_error(answer, reference) < 1e-5


def test_first_difference_names_the_layer_that_is_wrong():
    name = "one level"
    unet = make(UNETS[name])
    with torch.no_grad():
        unet.mid_block.resnets[1].conv2.weight += 0.1
    with recorded(unet, sampled) as layers:
        run(unet, unet_inputs(UNETS[name]))
    wrong = first_difference(layers, read_layers("unet", name))
    assert wrong.layer == "mid_block.resnets.1.conv2"
    assert wrong.last_equal == "mid_block.resnets.1.norm2"


@pytest.mark.parametrize("name", OFFICIAL_UNETS)
def test_keys_and_shapes_are_the_official_ones(name):
    config, parameters, tensors = OFFICIAL_UNETS[name]
    with torch.device("meta"):
        unet = UNet(UNetConfig.from_dict(config))
    ours = {key: tuple(value.shape) for key, value in unet.state_dict().items()}
    assert ours == read_keys(name.lower())
    assert sum(math.prod(shape) for shape in ours.values()) == parameters
    assert len(ours) == tensors


# --- what the class promises ------------------------------------------------------------------


def test_prepared_text_is_the_same_as_text(unet):
    inputs = unet_inputs(SMALL)
    with torch.no_grad():
        cond = unet.prepare(inputs["text"])
    assert torch.equal(run(unet, inputs), run(unet, inputs, cond))


def test_holds_no_state_between_calls(unet):
    first, second = unet_inputs(SMALL), unet_inputs(SMALL)
    second["text"] = -second["text"]
    before = run(unet, first)
    run(unet, second)
    assert torch.equal(run(unet, first), before)
    assert not list(unet.buffers())


def test_pictures_of_a_batch_do_not_see_each_other(unet):
    inputs = unet_inputs(SMALL)
    together = run(unet, inputs)
    for i in range(2):
        alone = run(unet, {key: value[i : i + 1] for key, value in inputs.items()})
        assert torch.allclose(together[i : i + 1], alone, atol=1e-5)


def test_one_timestep_serves_the_whole_batch(unet):
    inputs = unet_inputs(SMALL)
    each = run(unet, inputs | {"t": torch.tensor([417, 417])})
    for same in (417, torch.tensor(417), torch.tensor([417])):
        assert torch.equal(run(unet, inputs | {"t": same}), each)


@pytest.mark.parametrize("pictures", [1, 2, 3, 4, 5])
def test_a_split_batch_has_the_same_answers(unet, monkeypatch, pictures):
    monkeypatch.setattr(split, "AT_ONCE", 2)
    inputs = unet_inputs(SMALL)
    rows = [0, 1, 1, 0, 1][:pictures]
    x, t = inputs["x"][rows], inputs["t"][rows]
    with torch.no_grad():
        cond = unet.prepare(inputs["text"]).take(rows)
        fast = split.SplitUNet(unet)
        assert fast.dtype == unet.dtype
        for when in (t, 417):
            assert torch.allclose(fast(x, when, cond), unet(x, when, cond), atol=1e-5)
    with pytest.raises(UserError, match="pictures need"):
        fast(x.repeat(2, 1, 1, 1), 417, cond)


def test_inputs_are_left_alone(unet):
    inputs = unet_inputs(SMALL)
    copies = {key: value.clone() for key, value in inputs.items()}
    run(unet, inputs)
    assert all(torch.equal(inputs[key], copies[key]) for key in inputs)


def test_conds_can_be_picked_and_joined(unet):
    inputs = unet_inputs(SMALL)
    with torch.no_grad():
        cond = unet.prepare(inputs["text"])
    joined = Cond.cat([cond.take([1]), cond.take([0])])
    swapped = {key: value.flip(0) for key, value in inputs.items()}
    assert len(cond) == len(joined) == 2
    assert torch.allclose(run(unet, swapped, joined), run(unet, inputs).flip(0), atol=1e-5)


def test_padding_counts(unet):
    """The official pipeline gives the UNet no mask: the states of padding matter, as trained."""
    inputs = unet_inputs(SMALL)
    changed = inputs["text"].clone()
    changed[:, -1] += 1
    assert relative_error(run(unet, inputs, changed), run(unet, inputs)) > 1e-3


def test_every_parameter_matters(unet):
    inputs = unet_inputs(SMALL)
    unet(inputs["x"], inputs["t"], inputs["text"]).square().sum().backward()
    sizes = {name: float(p.grad.abs().max()) for name, p in unet.named_parameters()}
    unet.zero_grad(set_to_none=True)
    # A bias on all keys alike raises all scores of a query alike, and softmax ignores it.
    sizes.pop("add_embedding.pool.k_proj.bias")
    assert min(sizes.values()) > 1e-4


def test_sinusoid_has_cosines_first_and_divides_by_half():
    """freq_shift 0: the lowest frequency is 10000^(-(half-1)/half), not 1/10000."""
    encoded = sinusoid(torch.tensor([0, 500]), 8)
    assert encoded[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    frequency = 10000 ** (-3 / 4)
    assert float(encoded[1, 3]) == pytest.approx(math.cos(500 * frequency), abs=1e-6)
    assert float(encoded[1, 7]) == pytest.approx(math.sin(500 * frequency), abs=1e-6)


# --- stage II ---------------------------------------------------------------------------------


def test_the_noise_level_is_part_of_what_is_prepared():
    config = UNETS["stage II, as official"]
    unet, inputs = make(config), unet_inputs(config)
    with torch.no_grad():
        cond = unet.prepare(inputs["text"], inputs["level"])
        same = unet.prepare(inputs["text"], 250)
    assert torch.equal(run(unet, inputs), run(unet, inputs, cond))
    assert torch.equal(same.pooled[0], cond.pooled[0])  # whose level is 250 in both
    assert not torch.allclose(same.pooled[1], cond.pooled[1], atol=1e-3)


def test_each_stage_says_whether_it_takes_a_level(unet):
    inputs = unet_inputs(SMALL)
    with pytest.raises(UserError, match="stage I and takes no level"):
        unet.prepare(inputs["text"], 250)
    config = UNETS["stage II, text alone"]
    with pytest.raises(UserError, match="needs a level"):
        make(config).prepare(unet_inputs(config)["text"])


# --- what it refuses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 4, 16, 16)}, "got (2, 4, 16, 16)"),
        ({"x": torch.zeros(2, 3, 18, 18)}, "multiples of 4"),
        ({"x": torch.zeros(2, 3, 16, 18)}, "multiples of 4"),
        ({"x": torch.zeros(3, 3, 16, 16), "t": 5}, "3 pictures need 3 prompts"),
        ({"text": torch.zeros(2, 77, 49)}, "got (2, 77, 49)"),
        ({"text": torch.zeros(77, 48)}, "2 pictures need 2 prompts; got 1"),
    ],
)
def test_refuses_inputs_that_do_not_fit(unet, change, message):
    with pytest.raises(UserError) as error:
        run(unet, unet_inputs(SMALL) | change)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_out_channels": []}, "non-empty list"),
        ({"block_out_channels": [24, 40]}, "down_block_types needs 2 entries"),
        ({"down_block_types": ["DownBlock2D"] * 3}, "down_block_types needs 3 entries"),
        ({"layers_per_block": [1, 2]}, "layers_per_block needs 3 entries"),
        ({"block_out_channels": [24, 40, 60]}, "60 channels"),
        ({"block_out_channels": [24, 40, 0]}, "above 0"),
        ({"cross_attention_dim": 48}, "multiple of 32"),
        ({"addition_embed_type_num_heads": 5}, "encoder_hid_dim = 48"),
        ({"act_fn": "silu"}, "act_fn is 'silu'"),
        ({"class_embed_type": "identity"}, "class_embed_type"),
        ({"class_embed_type": "timestep"}, "stage II"),
        ({"in_channels": 6}, "takes 3 channels"),
        ({"time_embedding_act_fn": "silu"}, "time_embedding_act_fn"),
        ({"resnet_skip_time_act": 1}, "resnet_skip_time_act"),
        ({"resnet_out_scale_factor": 0}, "resnet_out_scale_factor"),
        ({"mid_block_scale_factor": "1"}, "mid_block_scale_factor"),
        ({"only_cross_attention": [True, False]}, "only_cross_attention"),
        ({"upcast_attention": True}, "upcast_attention"),
    ],
)
def test_refuses_configs_of_other_models(change, message):
    with pytest.raises(UserError) as error:
        UNetConfig.from_dict(SMALL | change)
    assert message in str(error.value)


def test_warns_of_keys_nobody_knows():
    with pytest.warns(UserWarning, match="brand_new_option"):
        UNetConfig.from_dict(SMALL | {"brand_new_option": 1})


def test_reads_the_config_that_diffusers_writes():
    """A written config holds every default too, and underscored entries about its making."""
    written = SMALL | {"_class_name": "UNet2DConditionModel", "dropout": 0.0, "freq_shift": 0}
    assert UNetConfig.from_dict(written) == UNetConfig.from_dict(SMALL)


def test_uneven_levels_have_their_own_layer_counts():
    config = UNetConfig.from_dict(unet_config([8, 16], [1, 3], ".x"))
    assert config.layers == (1, 3)
    assert (
        len(UNet(config).up_blocks[0].resnets) == 4
    )  # the deepest level, one more than on the way down
