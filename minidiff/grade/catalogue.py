"""The catalogue of wrong versions, from the four tables beside this file."""

from minidiff.grade.catalogue_ddpm import DDPM_VERSIONS
from minidiff.grade.catalogue_equations import EQUATIONS
from minidiff.grade.catalogue_networks import NETWORKS
from minidiff.grade.catalogue_sampling import SAMPLING_VERSIONS
from minidiff.grade.mutation import Mutation

CATALOGUE: dict[str, Mutation] = {
    mutation.name: mutation
    for mutation in [*EQUATIONS, *SAMPLING_VERSIONS, *NETWORKS, *DDPM_VERSIONS]
}

__all__ = ["CATALOGUE", "Mutation"]
