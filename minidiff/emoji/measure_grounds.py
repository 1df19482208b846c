"""Measurements of the grounds that a walk leaves: white or not, plain or grainy.

The official pipeline walks as the checkpoint's scheduler_config.json says, which keeps x0 within
bounds and begins where the spacing begins: at t = 999 if it is trailing, in ten leading steps at
900. The same bounds on a walk that begins at 990 are its rival; the course's own walk, without
bounds, is what both are compared with.
"""

import torch

from minidiff.emoji.judge import grain, on_border
from minidiff.emoji.workbench import SCALE, Row, Workbench, share_row, spread

STEPS = {10: ">= 0.80", 20: ">= 0.95", 50: ">= 0.95", 80: ">= 0.95"}  # and how many must be white
WHITE_FROM = 0.9  # the mean of the border, of 1


def grounds(bench: Workbench) -> list[Row]:
    """Prompts that name no background, in few and in many steps of both walks."""
    free = [concept for concept in bench.prompts["naming"] if concept["code"] in bench.clear]
    texts = [concept["name"] for concept in spread(free, bench.plan.grounds)]
    rows = ground_rows("the course's walk", bench.draw(texts), "")
    limit = f"<= {rows[1].value:.3f}"
    for steps, goal in STEPS.items():
        walks = {"as its scheduler says": None, "from 990": "even"}
        for name, spacing in walks.items():
            plan = bench.studio.plan(steps, sampler="ddpm", spacing=spacing, guidance=SCALE)
            rows += ground_rows(f"{steps} steps {name}", bench.draw(texts, plan=plan), goal, limit)
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
