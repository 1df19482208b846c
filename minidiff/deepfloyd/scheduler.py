"""The official scheduler/scheduler_config.json: what it may say, and the two numbers it chooses."""

from dataclasses import dataclass

from minidiff.deepfloyd.config import read_fields
from minidiff.errors import UserError

# Stage I's settings, for which schedule.py and equations.py hold the one implementation.
FIXED = {
    "beta_schedule": "squaredcos_cap_v2",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
    "steps_offset": 0,
    "thresholding": True,
    "timestep_spacing": "leading",
    "trained_betas": None,
    "variance_type": "learned_range",
}
REQUIRED = ("beta_schedule", "prediction_type", "thresholding", "variance_type")
IGNORED = {
    "beta_end",
    "beta_start",
    "clip_sample",  # thresholding takes its place
    "clip_sample_range",
    "lambda_min_clipped",  # for another sampler
}


@dataclass(frozen=True)
class SchedulerConfig:
    """Dynamic thresholding's two numbers: see equations.dynamic_threshold."""

    dynamic_thresholding_ratio: float = 0.995
    sample_max_value: float = 1.0

    @classmethod
    def from_dict(cls, raw: dict) -> "SchedulerConfig":
        """UserError for what is missing or is not DeepFloyd IF's stage I."""
        missing = [key for key in REQUIRED if key not in raw]
        if missing:
            raise UserError(f"scheduler/scheduler_config.json lacks {', '.join(missing)}")
        config = cls(**read_fields(cls, raw, FIXED, IGNORED, "scheduler/scheduler_config.json"))
        ratio, top = config.dynamic_thresholding_ratio, config.sample_max_value
        numbers = all(type(n) in (int, float) for n in (ratio, top))
        if not numbers or not 0 < ratio <= 1 or not 1 <= top < 1000:
            raise UserError(
                "scheduler/scheduler_config.json: dynamic_thresholding_ratio must be in (0, 1] and"
                f" sample_max_value at least 1; got {ratio!r} and {top!r}"
            )
        return config
