"""Which layer is the first whose output differs from the reference's?

    python -m tests.first_difference                    against the committed reference outputs
    python -m tests.first_difference --weights FOLDER   against diffusers and transformers, live

The first needs no reference library: use it after a change to unet.py or t5.py.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from minidiff.deepfloyd.t5 import T5Config, T5Encoder
from minidiff.deepfloyd.unet import UNet
from minidiff.deepfloyd.unet_config import UNetConfig
from tests.by_rule import fill, t5_inputs, unet_inputs
from tests.configs import T5S, UNETS
from tests.layers import Difference, first_difference, recorded, sampled
from tests.libraries import missing, quiet
from tests.reference_files import read_layers


@torch.no_grad()
def against_committed() -> Iterator[tuple[str, Difference | None]]:
    """Every shape of tests/reference: its name, and where this code departs from the reference."""
    for name, config in UNETS.items():
        unet, inputs = fill(UNet(UNetConfig.from_dict(config))), unet_inputs(config)
        with recorded(unet, sampled) as ours:
            unet(inputs["x"], inputs["t"], inputs["text"], inputs.get("level"))
        yield f"UNet, {name}", first_difference(ours, read_layers("unet", name))
    for name, config in T5S.items():
        encoder, inputs = fill(T5Encoder(T5Config.from_dict(config))), t5_inputs(config)
        with recorded(encoder, sampled) as ours:
            encoder(inputs["ids"], inputs["mask"])
        yield f"T5, {name}", first_difference(ours, read_layers("t5", name))


def against_live(folder: Path) -> Iterator[tuple[str, Difference | None]]:
    """A checkpoint opened by minidiff and by the reference libraries, fp32, on one prompt."""
    from tests.parity.checkpoints import layer_outputs

    quiet()
    for part in ("T5", "UNet"):
        ours, reference = layer_outputs(folder, part)
        yield f"{part} of {folder.name}", first_difference(ours, reference)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="a checkpoint; needs the extra `parity`")
    folder = parser.parse_args().weights
    if folder and missing():
        print(f"--weights needs {', '.join(missing())}: pip install '.[parity]'")
        return 2
    found = [*(against_live(folder) if folder else against_committed())]
    for name, difference in found:
        print(f"{name}: {difference or 'every layer agrees'}")
    return 1 if any(difference for _, difference in found) else 0


if __name__ == "__main__":
    sys.exit(main())
