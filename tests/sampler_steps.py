"""Where a sampler's steps end, each begun from the picture that by_rule.py has for its timestep."""

from collections.abc import Iterator

from torch import Tensor

from minidiff.samplers import Sampler
from minidiff.schedule import cosine_schedule, pipeline_pairs
from tests.by_rule import sampler_answer, step_inputs

SCHEDULE = cosine_schedule()


class NoiseByRule:
    """Stands in for SeededNoise: the noise of the step from t, whichever step that is."""

    t = 0

    def draw(self, rows=None) -> Tensor:
        return step_inputs(self.t)["noise"]


def steps_by_rule(sampler: Sampler, timesteps: list[int], limit) -> Iterator[Tensor]:
    """x_t_prev (2, 3, 4, 4), float32, for each timestep of the official walk over the list."""
    pairs, noise = pipeline_pairs(timesteps), NoiseByRule()
    take_step = sampler.begin(pairs, sampler_answer)
    for t, t_prev in pairs:
        x, noise.t = step_inputs(t)["x"], t
        yield take_step(x, *sampler_answer(x, t), t, t_prev, SCHEDULE, noise, [0, 1], limit)[0]
