"""The networks and whole pictures against diffusers and transformers on a GPU: `make test-gpu`.

The same comparisons and bounds as in `make parity`, without its rows that no device touches. The
fp32 rows compute in fp32: TF32 is switched off.
"""

import pytest
import torch

from tests.libraries import missing, quiet

WHERE = ("models", "checkpoints")


@pytest.fixture
def true_fp32():
    kinds = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [kind.allow_tf32 for kind in kinds]
    for kind in kinds:
        kind.allow_tf32 = False
    yield
    for kind, allowed in zip(kinds, before):
        kind.allow_tf32 = allowed


@pytest.mark.gpu
@pytest.mark.skipif(bool(missing()), reason="needs the reference libraries: make parity")
@pytest.mark.parametrize("part", WHERE)
def test_parity_holds_on_a_gpu(part, true_fp32):
    from tests.parity import checkpoints, models

    quiet()
    checks = list({"models": models, "checkpoints": checkpoints}[part].checks("cuda"))
    print("\n".join(check.row() for check in checks))
    assert checks
    assert all(check.passed for check in checks), [c.row() for c in checks if not c.passed]
