"""The model shapes that tests and parity checks use, as official config.json fields."""

PLAIN_DOWN, CROSS_DOWN = "ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"
PLAIN_UP, CROSS_UP = "ResnetUpsampleBlock2D", "SimpleCrossAttnUpBlock2D"


def unet_config(widths: list[int], layers: int | list[int], attends: str, **other) -> dict:
    """A unet/config.json, of stage I unless `other` makes it II.

    `attends` has one letter a level: "x" attends, "." does not.
    """
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


# What stage II has different. The reference's own small test model has neither skip_time_act nor
# the factor, so both are tested in shapes of our own.
UPSCALES = {
    "in_channels": 6,
    "class_embed_type": "timestep",
    "time_embedding_act_fn": "gelu",
    "norm_num_groups": 32,
}
AS_OFFICIAL = UPSCALES | {
    "resnet_skip_time_act": True,
    "resnet_out_scale_factor": 1 / 0.7071,
    "mid_block_scale_factor": 1 / 0.7071,
}
TINY_2 = {"cross_attention_dim": 32, "encoder_hid_dim": 32, "addition_embed_type_num_heads": 2,
          "time_embedding_dim": 32}  # fmt: skip

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
    "stage II, the reference's test": unet_config(
        [32, 64], [1, 2], ".x", mid_block_scale_factor=1.414, **UPSCALES, **TINY_2
    ),
    "stage II, as official": unet_config([32, 64], [1, 2], ".x", **AS_OFFICIAL, **TINY_2),
    "stage II, text alone": unet_config(
        [32, 64], [1, 2], ".x", only_cross_attention=True, **AS_OFFICIAL, **TINY_2
    ),
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


def official_upscaler(widths: list[int], layers: list[int], text_alone: bool) -> dict:
    """IF-II. Of the published lists of keys it is not known which of the two variants is real."""
    return unet_config(
        widths, layers, "...xx", sample_size=256, cross_attention_dim=widths[-1],
        time_embedding_dim=widths[-1], encoder_hid_dim=4096, attention_head_dim=64,
        addition_embed_type_num_heads=64, only_cross_attention=text_alone, **AS_OFFICIAL,
    )  # fmt: skip


II_M = [128, 256, 512, 768, 768], [2, 2, 3, 4, 4]
II_L = [160, 320, 640, 960, 1280], [2, 2, 3, 5, 5]

# name -> (config, number of parameters, number of tensors)
OFFICIAL_UNETS = {
    "IF-I-M": (official_unet(192), 371_605_830, 775),
    "IF-I-L": (official_unet(320), 935_365_830, 775),
    "IF-I-XL": (official_unet(704), 4_304_695_110, 775),
    "IF-II-M": (official_upscaler(*II_M, False), 535_441_926, 829),
    "IF-II-M-text-alone": (official_upscaler(*II_M, True), 512_999_430, 753),
    "IF-II-L": (official_upscaler(*II_L, False), 1_243_277_190, 939),
    "IF-II-L-text-alone": (official_upscaler(*II_L, True), 1_183_628_550, 847),
}
T5_XXL = t5_config(4096, 64, 64, 24, vocab_size=32128, d_ff=10240)
T5_XXL_PARAMETERS = 4_762_310_656
