"""The model shapes that tests and parity checks use, as official config.json fields."""

PLAIN_DOWN, CROSS_DOWN = "ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"
PLAIN_UP, CROSS_UP = "ResnetUpsampleBlock2D", "SimpleCrossAttnUpBlock2D"


def unet_config(widths: list[int], layers: int | list[int], attends: str, **other) -> dict:
    """A stage-I unet/config.json. `attends` has one letter a level: "x" attends, "." does not."""
    fields = {
        "sample_size": 16,
        "in_channels": 3,
        "out_channels": 6,
        "block_out_channels": widths,
        "layers_per_block": layers,
        "down_block_types": [CROSS_DOWN if a == "x" else PLAIN_DOWN for a in attends],
        "up_block_types": [CROSS_UP if a == "x" else PLAIN_UP for a in reversed(attends)],
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "cross_attention_dim": 64,
        "encoder_hid_dim": 48,
        "encoder_hid_dim_type": "text_proj",
        "attention_head_dim": 8,
        "addition_embed_type": "text",
        "addition_embed_type_num_heads": 3,
        "cross_attention_norm": "group_norm",
        "resnet_time_scale_shift": "scale_shift",
        "act_fn": "gelu",
        "norm_num_groups": 8,
    }
    return fields | other


UNETS = {
    "one level": unet_config([48], 2, "x", attention_head_dim=16, norm_num_groups=16),
    "two levels, 32 groups": unet_config(
        [32, 64], 1, ".x", cross_attention_dim=32, addition_embed_type_num_heads=2,
        encoder_hid_dim=32, norm_num_groups=32,
    ),
    "odd head counts": unet_config([24, 40, 56], [1, 2, 1], ".xx"),
    "four levels, three layers": unet_config(
        [32, 64, 96, 128], 3, ".xxx", attention_head_dim=32, norm_num_groups=32,
        time_embedding_dim=100,
    ),
    "two plain levels on top": unet_config(
        [16, 24, 40, 56], [1, 1, 2, 1], "..xx", cross_attention_dim=96, norm_num_groups=4
    ),
    "attention at every level": unet_config([16, 32, 48], 2, "xxx", norm_eps=1e-3),
    "attention in the middle only": unet_config([16, 32], [2, 1], "..", attention_head_dim=32),
    "widths that shrink": unet_config([64, 32, 16], 1, "x.x", encoder_hid_dim=51),
}  # fmt: skip


def t5_config(d_model: int, d_kv: int, heads: int, layers: int, **other) -> dict:
    """A text_encoder/config.json of T5 v1.1."""
    fields = {
        "model_type": "t5",
        "vocab_size": 100,
        "d_model": d_model,
        "d_kv": d_kv,
        "d_ff": 80,
        "num_layers": layers,
        "num_heads": heads,
        "feed_forward_proj": "gated-gelu",
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "layer_norm_epsilon": 1e-6,
        "is_encoder_decoder": False,
    }
    return fields | other


T5S = {
    "heads * d_kv == d_model": t5_config(48, 8, 6, 3),
    "heads * d_kv < d_model": t5_config(48, 8, 5, 2),
    "heads * d_kv > d_model": t5_config(32, 16, 3, 2, layer_norm_epsilon=1e-5),
    "one layer, one head": t5_config(24, 24, 1, 1, d_ff=16),
    "other buckets": t5_config(
        32, 8, 4, 2, relative_attention_num_buckets=16, relative_attention_max_distance=50
    ),
}


def official_unet(base: int) -> dict:
    """IF-I with base width 192 (M), 320 (L) or 704 (XL)."""
    return unet_config(
        [base * n for n in (1, 2, 3, 4)], 3, ".xxx", sample_size=64, cross_attention_dim=4 * base,
        encoder_hid_dim=4096, attention_head_dim=64, addition_embed_type_num_heads=64,
        norm_num_groups=32,
    )  # fmt: skip


# name -> (config, number of parameters, number of tensors)
OFFICIAL_UNETS = {
    "IF-I-M": (official_unet(192), 371_605_830, 775),
    "IF-I-L": (official_unet(320), 935_365_830, 775),
    "IF-I-XL": (official_unet(704), 4_304_695_110, 775),
}
T5_XXL = t5_config(4096, 64, 64, 24, vocab_size=32128, d_ff=10240)
T5_XXL_PARAMETERS = 4_762_310_656
