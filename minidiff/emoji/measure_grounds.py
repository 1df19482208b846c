"""Measurements of the grounds that section 0's walk leaves: white or not, plain or grainy.

Section 0 samples as the checkpoint's scheduler_config.json says, with the official pipeline's own
list of timesteps. The course's walk, which starts at 990, is what it is compared with.
"""

import torch

from minidiff.emoji.judge import grain, on_border
from minidiff.emoji.workbench import Row, Workbench, share_row, spread

PIPELINE_STEPS = (10, 20, 50, 80)
WHITE_GOALS = {10: ">= 0.80", 20: ">= 0.95", 50: ">= 0.95", 80: ">= 0.95"}
WHITE_FROM = 0.9  # the mean of the border, of 1


def grounds(bench: Workbench) -> list[Row]:
    """Prompts that name no background, drawn in 10, 20, 50 and 80 steps of the pipeline's walk."""
    free = [concept for concept in bench.prompts["naming"] if concept["code"] in bench.clear]
    texts = [concept["name"] for concept in spread(free, bench.plan.grounds)]
    rows = ground_rows("the course's walk", bench.draw(texts), "")
    limit = f"<= {rows[1].value:.3f}"
    for steps in PIPELINE_STEPS:
        samples = bench.draw(texts, steps=steps, pipeline=True)
        rows += ground_rows(f"section 0, {steps} steps", samples, WHITE_GOALS[steps], limit)
    return rows


def ground_rows(what: str, samples: torch.Tensor, goal: str, grain_goal: str = "") -> list[Row]:
    """Share of white borders, and the mean grain, of (B, 3, 64, 64)."""
    white = on_border(samples.float()).flatten(1).mean(1) > WHITE_FROM
    rough = grain(samples)
    error = (rough.std() / len(rough) ** 0.5).item() if len(rough) > 1 else 0.0
    return [
        share_row(f"{what}, white ground", white, goal),
        Row(f"{what}, grain", rough.mean().item(), len(rough), grain_goal, error),
    ]
