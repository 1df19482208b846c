"""The catalogue of wrong versions, from the tables beside this file."""

from minidiff.grade.mistakes.cascade import CASCADE_VERSIONS
from minidiff.grade.mistakes.ddpm import DDPM_VERSIONS
from minidiff.grade.mistakes.equations import EQUATIONS
from minidiff.grade.mistakes.flow import FLOW_VERSIONS
from minidiff.grade.mistakes.mutation import Mutation
from minidiff.grade.mistakes.networks import NETWORKS
from minidiff.grade.mistakes.sampling import SAMPLING_VERSIONS

CATALOGUE: dict[str, Mutation] = {
    mutation.name: mutation
    for mutation in [
        *EQUATIONS,
        *SAMPLING_VERSIONS,
        *NETWORKS,
        *CASCADE_VERSIONS,
        *DDPM_VERSIONS,
        *FLOW_VERSIONS,
    ]
}

__all__ = ["CATALOGUE", "Mutation"]
