"""The catalogue of wrong versions, from the tables beside this file."""

from minidiff.grade.mistakes.cascade import CASCADE_VERSIONS
from minidiff.grade.mistakes.ddpm import DDPM_VERSIONS
from minidiff.grade.mistakes.equations import EQUATIONS
from minidiff.grade.mistakes.flow import FLOW_VERSIONS
from minidiff.grade.mistakes.mutation import Mutation
from minidiff.grade.mistakes.networks import NETWORKS
from minidiff.grade.mistakes.samplers import SAMPLER_VERSIONS
from minidiff.grade.mistakes.sampling import SAMPLING_VERSIONS

CATALOGUE: dict[str, Mutation] = {
    mutation.name: mutation
    for mutation in [
        *EQUATIONS,
        *SAMPLING_VERSIONS,
        *SAMPLER_VERSIONS,
        *NETWORKS,
        *CASCADE_VERSIONS,
        *DDPM_VERSIONS,
        *FLOW_VERSIONS,
    ]
}


def mistakes_of(name: str) -> list[Mutation]:
    """The mistakes of an exercise, or those in a function or class of the package, by its name.

    Mutation.apply puts one into the text of its file, or into the exercise's solution.
    """
    return [m for m in CATALOGUE.values() if m.exercise == name or m.place == name]


def named(mistake: str) -> dict[str, str]:
    """The hint of a mistake as the arguments of Wrong: for a check that itself recognises it."""
    return {"hint": CATALOGUE[mistake].hint, "mistake": mistake}


__all__ = ["CATALOGUE", "Mutation", "mistakes_of", "named"]
