"""The shape of a UNet of either stage, read from an official unet/config.json and checked."""

from dataclasses import dataclass

from minidiff.deepfloyd.config import read_fields
from minidiff.errors import UserError

# The block types of both stages, and whether they attend.
DOWN_BLOCKS = {"ResnetDownsampleBlock2D": False, "SimpleCrossAttnDownBlock2D": True}
UP_BLOCKS = {"ResnetUpsampleBlock2D": False, "SimpleCrossAttnUpBlock2D": True}

MAX_LEVELS = 8  # the largest official model has 5, of at most 3 layers
MAX_LAYERS = 32
TEXT_NORM_GROUPS = 32  # norm_cross has 32 groups in every official model, whatever the config says

# Official fields for which this file implements one value (other models differ).
FIXED = {
    "act_fn": "gelu",
    "addition_embed_type": "text",
    "center_input_sample": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "cross_attention_norm": "group_norm",
    "downsample_padding": 1,
    "dual_cross_attention": False,
    "encoder_hid_dim_type": "text_proj",
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "num_attention_heads": None,
    "num_class_embeds": None,
    "resnet_time_scale_shift": "scale_shift",
    "time_cond_proj_dim": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None,
    "upcast_attention": False,
}
IGNORED = {
    "addition_time_embed_dim",
    "attention_type",
    "class_embeddings_concat",
    "dropout",
    "mid_block_only_cross_attention",
    "projection_class_embeddings_input_dim",
    "reverse_transformer_layers_per_block",
    "sample_size",
    "transformer_layers_per_block",
    "use_linear_projection",
}


@dataclass(frozen=True)
class UNetConfig:
    """The fields of an official unet/config.json that shape the network."""

    block_out_channels: tuple[int, ...]
    down_block_types: tuple[str, ...]
    up_block_types: tuple[str, ...]
    layers_per_block: int | tuple[int, ...] = 3
    in_channels: int = 3
    out_channels: int = 6
    attention_head_dim: int = 64
    cross_attention_dim: int = 1280
    encoder_hid_dim: int = 4096
    addition_embed_type_num_heads: int = 64
    time_embedding_dim: int | None = None
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    # What stage II, the upscaler, has different; the defaults are stage I.
    class_embed_type: str | None = None  # "timestep": the noise level is embedded like a timestep
    time_embedding_act_fn: str | None = None  # "gelu": the summed embedding is activated once ...
    resnet_skip_time_act: bool = False  # ... and the ResBlocks leave their own activation of it out
    resnet_out_scale_factor: float = 1.0  # 1 / 0.7071: what a ResBlock's sum is divided by
    mid_block_scale_factor: float = 1.0  # the same in the middle block
    only_cross_attention: bool = False  # pixels attend to text alone: the weights decide

    @classmethod
    def from_dict(cls, raw: dict) -> "UNetConfig":
        """Read an official config.json. UserError for what is missing, wrong or not stage I."""
        values = read_fields(cls, raw, FIXED, IGNORED)
        for key in ("block_out_channels", "down_block_types", "up_block_types"):
            if not isinstance(values.get(key), (list, tuple)) or not values[key]:
                raise UserError(f"unet/config.json: {key} must be a non-empty list")
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        config = cls(**values)
        config.check()
        return config

    def check(self) -> None:
        """Raise UserError where the fields contradict each other."""
        levels = len(self.block_out_channels)
        for name, known in (("down_block_types", DOWN_BLOCKS), ("up_block_types", UP_BLOCKS)):
            types = getattr(self, name)
            if len(types) != levels or not all(type(t) is str and t in known for t in types):
                raise UserError(
                    f"unet/config.json: {name} needs {levels} entries out of {sorted(known)},"
                    f" one for each of block_out_channels; got {list(types)}"
                )
        self.check_depth(levels)
        numbers = [*self.block_out_channels, self.attention_head_dim]
        numbers += [] if self.time_embedding_dim is None else [self.time_embedding_dim]
        numbers += [self.cross_attention_dim, self.encoder_hid_dim]
        numbers += [self.addition_embed_type_num_heads, self.norm_num_groups]
        if not all(type(n) is int and 0 < n <= 65536 for n in numbers):
            raise UserError(f"unet/config.json: sizes must be whole numbers above 0; got {numbers}")
        if type(self.norm_eps) is not float or not 0 < self.norm_eps < 1:
            raise UserError(f"unet/config.json: norm_eps must be in (0, 1), not {self.norm_eps!r}")
        if (self.in_channels, self.out_channels) != (6 if self.upscales else 3, 6):
            raise UserError(
                "unet/config.json: stage I takes 3 channels, stage II (class_embed_type"
                f' "timestep") takes 6, and both give 6; not in_channels = {self.in_channels!r} and'
                f" out_channels = {self.out_channels!r}"
            )
        self.check_stage_2()
        self.check_divisors()

    def check_stage_2(self) -> None:
        """The fields in which the stages differ may be mixed, as the reference's tests do."""
        possible = {
            "class_embed_type": (None, "timestep"),
            "time_embedding_act_fn": (None, "gelu"),
            "resnet_skip_time_act": (False, True),
            "only_cross_attention": (False, True),
        }
        for name, values in possible.items():
            value = getattr(self, name)
            if value not in values or type(value) not in map(type, values):
                raise UserError(
                    f"unet/config.json: {name} is {value!r}; this code supports"
                    f" {' and '.join(map(repr, values))}"
                )
        for name in ("resnet_out_scale_factor", "mid_block_scale_factor"):
            if type(getattr(self, name)) not in (int, float) or not 0.1 < getattr(self, name) < 10:
                raise UserError(
                    f"unet/config.json: {name} must be a number near 1, not {getattr(self, name)!r}"
                )

    def check_depth(self, levels: int) -> None:
        """A number out of all bounds would take hours to build before its weights are missed."""
        n = self.layers_per_block
        layers = n if isinstance(n, tuple) else (n,) * levels
        possible = all(type(n) is int and 0 < n <= MAX_LAYERS for n in layers)
        if len(layers) != levels:
            raise UserError(f"unet/config.json: layers_per_block needs {levels} entries")
        if levels > MAX_LEVELS or not possible:
            raise UserError(
                f"unet/config.json: {levels} levels with layers_per_block = {n!r}, where at most"
                f" {MAX_LEVELS} levels of 1 to {MAX_LAYERS} layers each are read"
            )

    def check_divisors(self) -> None:
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups:
                raise UserError(
                    f"unet/config.json: {channels} channels do not divide into"
                    f" norm_num_groups = {self.norm_num_groups}"
                )
        if min(self.attending) < self.attention_head_dim or self.block_out_channels[0] % 2:
            raise UserError(
                f"unet/config.json: of the widths {list(self.block_out_channels)} the first must be"
                f" even, and those of levels that attend at least attention_head_dim ="
                f" {self.attention_head_dim}"
            )
        if self.cross_attention_dim % TEXT_NORM_GROUPS:
            raise UserError(
                f"unet/config.json: cross_attention_dim = {self.cross_attention_dim} must be a"
                f" multiple of {TEXT_NORM_GROUPS}"
            )
        if self.encoder_hid_dim % self.addition_embed_type_num_heads:
            raise UserError(
                f"unet/config.json: encoder_hid_dim = {self.encoder_hid_dim} does not divide into"
                f" addition_embed_type_num_heads = {self.addition_embed_type_num_heads}"
            )

    @property
    def attending(self) -> list[int]:
        """Widths at which the network attends; the deepest one does so in the middle block."""
        types = zip(self.block_out_channels, self.down_block_types, self.up_block_types[::-1])
        widths = [width for width, down, up in types if DOWN_BLOCKS[down] or UP_BLOCKS[up]]
        return [*widths, self.block_out_channels[-1]]

    @property
    def layers(self) -> tuple[int, ...]:
        """ResBlocks of every level on the way down; the way up has one more each."""
        n = self.layers_per_block
        return (n,) * len(self.block_out_channels) if isinstance(n, int) else n

    @property
    def embed_dim(self) -> int:
        """Width of the embedding of time and pooled text that steers every ResBlock."""
        return self.time_embedding_dim or 4 * self.block_out_channels[0]

    @property
    def upscales(self) -> bool:
        """Whether this is stage II: it sees a second picture, and embeds that one's noise level."""
        return self.class_embed_type == "timestep"

    @property
    def embedding_gelus(self) -> int:
        """How often the summed embedding is activated before a ResBlock projects it.

        Every ResBlock of stage I begins with this GELU: once for all is enough. Stage II has one of
        its own, and its blocks have none. Only the reference's small test model has both.
        """
        return (self.time_embedding_act_fn is not None) + (not self.resnet_skip_time_act)
