"""Writes the committed outputs that `make grade` compares with, from the solutions.

    python -m minidiff.grade.reference

Run it only after the solutions pass every closed form and the package its parity tests; the file is
then part of what is right.
"""

import torch
from safetensors.torch import save

from minidiff.grade.exercises import all_exercises
from minidiff.grade.runner import REFERENCES
from minidiff.grade.solutions import solution_text
from minidiff.grade.source import from_text
from minidiff.io.files import save_atomically


def main() -> None:
    tensors: dict[str, torch.Tensor] = {}
    for exercise in all_exercises().values():
        code = from_text(exercise, solution_text(exercise))
        for check in exercise.checks.values():
            check(code)
        for name, tensor in exercise.outputs(code).items():
            tensors[f"{exercise.name}/{name}"] = (
                tensor.detach().double().clone(memory_format=torch.contiguous_format)
            )
    data = save(tensors)
    save_atomically(REFERENCES, lambda file: file.write(data))
    print(f"wrote {REFERENCES.name}: {len(tensors)} outputs, {len(data) / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
