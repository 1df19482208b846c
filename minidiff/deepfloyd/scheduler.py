"""The official scheduler/scheduler_config.json: how the checkpoint's makers want it to be walked.

`SchedulerConfig` says what DDPMScheduler would do with the file, in this project's terms: which
timesteps, within which bounds x0 is kept, which variance a step has.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property, partial

from torch import Tensor

from minidiff.deepfloyd.config import read_fields
from minidiff.equations import dynamic_threshold, static_threshold
from minidiff.errors import UserError
from minidiff.schedule import SPACINGS, cosine_schedule, spaced_timesteps

FILE = "scheduler/scheduler_config.json"
# Stage I's settings, for which schedule.py and equations.py hold the one implementation.
FIXED = {
    "beta_schedule": "squaredcos_cap_v2",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
    "trained_betas": None,
}
REQUIRED = ("beta_schedule", "prediction_type", "thresholding", "variance_type")
IGNORED = {
    "beta_end",
    "beta_start",
    "lambda_min_clipped",  # for another sampler
}
# Names of samplers.FIXED_V. Fine-tuning scripts write fixed_small: they do not train the variance.
VARIANCES = {
    "learned_range": "learned",
    "fixed_small": "small",
    "fixed_small_log": "small",  # the same variance by way of its logarithm
    "fixed_large": "large",
}


@dataclass(frozen=True)
class SchedulerConfig:
    """The fields that choose something, under their official names and with their defaults."""

    timestep_spacing: str = "leading"
    steps_offset: int = 0  # added to leading timesteps
    variance_type: str = "fixed_small"
    thresholding: bool = False
    dynamic_thresholding_ratio: float = 0.995
    sample_max_value: float = 1.0
    clip_sample: bool = True  # where there is no thresholding
    clip_sample_range: float = 1.0

    @classmethod
    def from_dict(cls, raw: dict) -> "SchedulerConfig":
        """UserError for what is missing or cannot be obeyed."""
        missing = [key for key in REQUIRED if key not in raw]
        if missing:
            raise UserError(f"{FILE} lacks {', '.join(missing)}")
        kind = raw.get("_class_name", "DDPMScheduler")
        if kind != "DDPMScheduler":
            warnings.warn(f"{FILE} is made for {kind}: its fields are read as DDPMScheduler's")
        return cls(**read_fields(cls, raw, FIXED, IGNORED, FILE))

    def __post_init__(self):
        one_of("timestep_spacing", self.timestep_spacing, SPACINGS)
        one_of("variance_type", self.variance_type, VARIANCES)
        one_of("thresholding", self.thresholding, (True, False))
        one_of("clip_sample", self.clip_sample, (True, False))
        if type(self.steps_offset) is not int or not 0 <= self.steps_offset < 1000:
            raise UserError(f"{FILE}: steps_offset must be 0 to 999, not {self.steps_offset!r}")
        ratio, top = self.dynamic_thresholding_ratio, self.sample_max_value
        if not (number(ratio) and number(top) and 0 < ratio <= 1 and 1 <= top < 1000):
            raise UserError(
                f"{FILE}: dynamic_thresholding_ratio must be in (0, 1] and sample_max_value at"
                f" least 1; got {ratio!r} and {top!r}"
            )
        if not (number(self.clip_sample_range) and 0 < self.clip_sample_range < 1000):
            raise UserError(
                f"{FILE}: clip_sample_range must be above 0, not {self.clip_sample_range!r}"
            )

    def timesteps(self, num_steps: int) -> list[int]:
        """n timesteps, spaced as the file says, for `schedule.pipeline_pairs`."""
        offset = self.steps_offset if self.timestep_spacing == "leading" else 0
        return [t + offset for t in spaced_timesteps(num_steps, self.timestep_spacing)]

    @property
    def limit(self) -> partial | None:
        """What to do to each x0 estimate, the `threshold` of sampling.denoise; None is nothing."""
        if self.thresholding:
            ratio, top = self.dynamic_thresholding_ratio, self.sample_max_value
            return partial(dynamic_threshold, ratio=ratio, max_value=top)
        return partial(static_threshold, limit=self.clip_sample_range) if self.clip_sample else None

    @property
    def variance(self) -> str:
        """The `variance` of samplers.make_sampler: learned, small or large."""
        return VARIANCES[self.variance_type]

    @cached_property
    def alphas_cumprod(self) -> Tensor:
        """abar of timesteps 0..999, (1000,) float32, as the course's cells ask for it."""
        return cosine_schedule().abars.float()


def one_of(key: str, value, known) -> None:
    """UserError unless the value is one of the known ones; 1 is not True here."""
    if type(value) not in (str, bool) or value not in known:
        names = ", ".join(str(name) for name in known)
        raise UserError(f"{FILE}: {key} is {value!r}; this code knows {names}")


def number(value) -> bool:
    return type(value) in (int, float)
