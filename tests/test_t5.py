"""The text encoder gives the reference's numbers, in fp16 too, and has the official keys."""

import math

import pytest
import torch
from by_rule import fill, t5_inputs, values
from configs import T5_XXL, T5_XXL_PARAMETERS, T5S, t5_config
from layers import first_difference, recorded, relative_error, sampled
from reference_files import read_keys, read_layers, read_reference

from minidiff.deepfloyd.t5 import RMSNorm, T5Config, T5Encoder, relative_buckets
from minidiff.errors import UserError

SMALL = T5S["heads * d_kv < d_model"]


def make(config: dict) -> T5Encoder:
    return fill(T5Encoder(T5Config.from_dict(config)))


def halved(encoder: T5Encoder) -> T5Encoder:
    """fp16 as a checkpoint is loaded: the feed-forward output layers stay in fp32."""
    for name, parameter in encoder.named_parameters():
        if not name.endswith("wo.weight"):
            parameter.data = parameter.data.half()
    return encoder


@torch.no_grad()
def run(encoder: T5Encoder, inputs: dict):
    return encoder(inputs["ids"], inputs["mask"])


# --- parity with the committed reference outputs ----------------------------------------------


@pytest.mark.parametrize("name", T5S)
def test_states_are_the_reference_s(name):
    encoder = make(T5S[name])
    with recorded(encoder, sampled) as layers:
        states = run(encoder, t5_inputs(T5S[name]))
    wrong = first_difference(layers, read_layers("t5", name))
    assert wrong is None, f"{name}: {wrong}"
    assert relative_error(states, read_reference("t5")[0][f"{name}/output"]) < 1e-5


@pytest.mark.parametrize("name", T5S)
def test_states_in_fp16_are_the_reference_s(name):
    states = run(halved(make(T5S[name])), t5_inputs(T5S[name]))
    reference = read_reference("t5")[0]
    assert states.dtype == torch.float16
    assert relative_error(states, reference[f"{name}/output fp16"]) < 4e-3
    assert relative_error(states, reference[f"{name}/output"]) < 4e-3


def test_keys_and_shapes_are_the_official_ones():
    with torch.device("meta"):
        encoder = T5Encoder(T5Config.from_dict(T5_XXL))
    ours = {key: tuple(value.shape) for key, value in encoder.state_dict().items()}
    official = read_keys("t5-xxl-encoder")
    assert official.pop("encoder.embed_tokens.weight") == official["shared.weight"]  # an alias
    assert ours == official
    assert sum(math.prod(shape) for shape in ours.values()) == T5_XXL_PARAMETERS


# --- the traps --------------------------------------------------------------------------------


def test_distances_fall_into_t5_s_buckets():
    """8 exact distances, then logarithmic ones up to 128; keys after the query have their own."""
    buckets = relative_buckets(200)
    before = buckets[199].flip(0)  # distance 0, 1, 2, ... back
    after = buckets[0]
    first = {8: 8, 12: 9, 16: 10, 23: 11, 32: 12, 46: 13, 64: 14, 91: 15}
    assert before[:8].tolist() == list(range(8))
    for distance, bucket in first.items():
        assert int(before[distance]) == bucket
        assert int(before[distance - 1]) == bucket - 1
    assert int(before[199]) == 15
    assert after[1:].tolist() == (before[1:] + 16).tolist()
    assert int(after[0]) == 0


def test_padded_keys_are_not_seen():
    encoder, inputs = make(SMALL), t5_inputs(SMALL)
    other = inputs["ids"].clone()
    other[inputs["mask"] == 0] = 7  # what stands at padded places
    ours, changed = run(encoder, inputs), run(encoder, inputs | {"ids": other})
    kept = inputs["mask"].bool()
    assert torch.equal(ours[kept], changed[kept])
    assert not torch.equal(ours[~kept], changed[~kept])  # but they have states of their own


def test_mask_matters():
    encoder, inputs = make(SMALL), t5_inputs(SMALL)
    unmasked = run(encoder, inputs | {"mask": torch.ones_like(inputs["mask"])})
    assert relative_error(unmasked[:2], run(encoder, inputs)[:2]) > 0.01


def test_prompts_of_a_batch_do_not_see_each_other():
    encoder, inputs = make(SMALL), t5_inputs(SMALL)
    together = run(encoder, inputs)
    alone = run(encoder, {key: value[2:3] for key, value in inputs.items()})
    assert torch.allclose(together[2:3], alone, atol=1e-5)


def test_scores_are_not_divided_by_the_root_of_the_width():
    """One head over two tokens, worked out by hand."""
    encoder = make(t5_config(4, 4, 1, 1, d_ff=4))
    layer = encoder.encoder.block[0].layer[0].SelfAttention
    x, bias = values("x", (1, 2, 4)), torch.zeros(1, 1, 2, 2)
    with torch.no_grad():
        scores = layer.q(x) @ layer.k(x).mT
        by_hand = layer.o(scores.softmax(-1) @ layer.v(x))
        assert torch.allclose(layer(x, bias), by_hand, atol=1e-6)


def test_large_activations_survive_fp16():
    """The feed-forward output passes 65504, fp16's largest number, in real T5 checkpoints."""
    encoder = make(SMALL)
    with torch.no_grad():
        for block in encoder.encoder.block:
            block.layer[1].DenseReluDense.wo.weight *= 1e6
    inputs = t5_inputs(SMALL)
    wide = run(encoder, inputs)
    narrow = run(halved(encoder), inputs)
    assert narrow.isfinite().all()
    assert relative_error(narrow, wide) < 1e-2


def test_norm_statistics_are_fp32():
    norm = RMSNorm(64, 1e-6).half()
    x = torch.full((1, 64), 300.0, dtype=torch.float16)  # 300^2 overflows fp16
    assert torch.allclose(norm(x).float(), torch.ones(1, 64), atol=1e-3)


def test_gate_is_the_tanh_form_of_gelu():
    encoder = make(SMALL)
    gate = encoder.encoder.block[0].layer[1].DenseReluDense
    h = torch.linspace(-3, 3, 48)[None]
    with torch.no_grad():
        a, b = gate.wi_0(h), gate.wi_1(h)
        tanh = 0.5 * a * (1 + torch.tanh((2 / math.pi) ** 0.5 * (a + 0.044715 * a**3)))
        exact = 0.5 * a * (1 + torch.erf(a / 2**0.5))
        assert torch.allclose(gate(h), gate.wo(tanh * b), atol=1e-6)
        assert not torch.allclose(gate(h), gate.wo(exact * b), atol=1e-6)


# --- what it refuses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feed_forward_proj": "relu"}, "feed_forward_proj is 'relu'"),
        ({"model_type": "bert"}, "model_type is 'bert'"),
        ({"d_model": 0}, "d_model"),
        ({"d_model": "48"}, "d_model"),
        ({"num_heads": None}, "lacks num_heads"),
    ],
)
def test_refuses_other_configs(change, message):
    with pytest.raises(UserError) as error:
        T5Config.from_dict(SMALL | change)
    assert message in str(error.value)


def test_reads_an_official_config_of_either_kind():
    """Some published ones describe the encoder, some the whole encoder-decoder."""
    extra = {"dropout_rate": 0.1, "use_cache": True, "is_encoder_decoder": True, "n_positions": 512}
    assert T5Config.from_dict(SMALL | extra) == T5Config.from_dict(SMALL)
