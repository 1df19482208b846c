"""Part B: digits from the trained models, by DDPM or by flow, one kind or all ten at once."""

from pathlib import Path

import gradio as gr
import torch

from minidiff.io.paths import ROOT
from minidiff.mnist import flow
from minidiff.mnist.checkpoint import load_model
from minidiff.mnist.ddpm import class_walk, ddpm_schedule, time_walk
from minidiff.play import live, show
from minidiff.play.tabs import common

ID = "digits"
FIRST_SAID = "Press Draw: ten digits grow out of noise."
WEIGHTS = ROOT / "weights" / "mnist"
ALL = "all ten"
DDPM, DDPM_PLAIN = "DDPM, told the digit", "DDPM, not told"
FLOW, FLOW_PLAIN = "flow, told the digit", "flow, not told"
EVERY = 5  # steps between two frames
_models: dict[str, torch.nn.Module] = {}


def build(desk: common.Desk) -> list:
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            kind = gr.Radio(list(kinds()), value=DDPM, label="Model and sampler")
            digit = gr.Dropdown([ALL, *map(str, range(10))], value=ALL, label="Digit")
            scale = gr.Slider(0, 10, value=5, step=0.5, label="Guidance γ (0 ignores the digit)")
            with gr.Row():
                seed = common.seed_box()
                steps = gr.Slider(1, 300, value=50, step=1, label="Steps (flow only)")
            draw, stop = common.buttons("Draw")
        with gr.Column(scale=3, min_width=300):
            pictures = gr.HTML(elem_id="digits-pictures")
            state = gr.HTML(show.note(FIRST_SAID), elem_id="digits-state")
    common.chapters("19", "20", "21", "26")

    @live.told(lambda text: (gr.skip(), show.note(text, "wrong")))
    def run(kind, digit, scale, seed, steps, request: gr.Request):
        stopped = desk.begin(request)
        yield None, show.note("beginning ...", "busy")
        c = torch.arange(10) if digit == ALL else torch.full((10,), int(digit))
        seeds = common.seed_list(seed, 10)
        walk, total = kinds()[kind](c, seeds, float(scale), int(steps))
        captions = [] if kind in (DDPM_PLAIN, FLOW_PLAIN) else [str(int(label)) for label in c]
        for count, x in enumerate(walk):  # the first is the noise that it begins with
            last = count == total or stopped()
            if last or count % max(1, total * EVERY // 300) == 0:
                said = f"stopped after step {count} of {total}" if count < total and last else (
                    f"{total} steps" if last else f"step {count} of {total}")  # fmt: skip
                strip = show.strip(show.to_bytes(x * 2 - 1), captions, alt="digit", side=84)
                yield f'<div class="ten">{strip}</div>', show.note(said, "" if last else "busy")
            if last:
                return

    inputs = [kind, digit, scale, seed, steps]
    common.on_click(desk, draw, stop, run, inputs, [pictures, state])
    return []


def opened(query: dict) -> list:
    return []


def kinds() -> dict:
    """What can draw here: name -> function of (digits, seeds, gamma, steps) -> (walk, steps)."""
    known = {FLOW: (by_flow, "flow-class"), FLOW_PLAIN: (by_plain_flow, "flow-time")}
    flows = {name: draw for name, (draw, file) in known.items() if path_of(file).is_file()}
    return {DDPM: by_ddpm, DDPM_PLAIN: by_plain_ddpm} | flows


def model(name: str) -> torch.nn.Module:
    """A trained model, read once."""
    if name not in _models:
        _models[name] = load_model(path_of(name))
    return _models[name]


def path_of(name: str) -> Path:
    return WEIGHTS / f"{name}.safetensors"


def by_ddpm(c, seeds, gamma, steps):
    schedule = ddpm_schedule()
    return class_walk(model("class"), schedule, c, seeds, gamma), len(schedule["betas"])


def by_plain_ddpm(c, seeds, gamma, steps):
    schedule = ddpm_schedule()
    return time_walk(model("time"), schedule, seeds), len(schedule["betas"])


def by_flow(c, seeds, gamma, steps):
    return flow.class_walk(model("flow-class"), c, seeds, steps, gamma), steps


def by_plain_flow(c, seeds, gamma, steps):
    return flow.time_walk(model("flow-time"), seeds, steps), steps
