"""Two readings of one picture: turned (anagram), near and far (hybrid), grey and coloured."""

import math
import time

import gradio as gr
import numpy as np
import torch
from PIL import Image

from minidiff.guidance import Factorized
from minidiff.play import copyable, live, show
from minidiff.play.tabs import common
from minidiff.play.tabs.drawing import busy
from minidiff.views import VIEWS

ID = "illusions"
FIRST_SAID = "Press Draw; then look at the picture the other way."
KINDS = {
    "anagram": "turned (anagram)",
    "hybrid": "near and far (hybrid)",
    "factor": "grey and colour",
}
LABELS = {  # of the two prompts
    "anagram": ("As it hangs", "Turned"),
    "hybrid": ("From afar", "Close up"),
    "factor": ("In grey", "In colour"),
}
TURN_FRAMES = 12
FARTHEST = 8  # times smaller than close up
LARGE = 320  # CSS pixels of the picture, close up


def build(desk: common.Desk) -> list:
    first, second = first_pair(desk)
    kept = gr.State(None)  # the drawn pictures (B, 3, H, W), and whether they hang turned
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            kind = gr.Radio(
                [(title, name) for name, title in KINDS.items()], value="anagram", label="Readings"
            )
            view = gr.Dropdown(
                [name for name in VIEWS if name != "identity"], value="flip", label="View"
            )
            a, b = (
                common.prompt_box(desk, prompt, label)
                for prompt, label in zip((first, second), LABELS["anagram"])
            )
            seeds = common.seed_controls(tries=2, most=4)
            walk = common.walk_controls(desk, guidance=4.0 if desk.prompts.free else None, steps=20)
            draw, stop = common.buttons("Draw")
        with gr.Column(scale=3, min_width=300):
            pictures = gr.HTML(elem_id="illusion-pictures")
            state = gr.HTML(show.note(FIRST_SAID), elem_id="illusion-state")
            turn = gr.Button("Turn it", elem_id="illusion-turn")
            distance = gr.Slider(
                0, 1, value=0, step=0.05, label="Step back: near to far", visible=False,
                elem_id="illusion-distance",
            )  # fmt: skip
    with gr.Accordion("The same elsewhere", open=False):
        shell = gr.Code(language="shell", label="Command line", interactive=False)
    common.chapters("12", "13")

    @live.told(lambda text: (gr.skip(), show.note(text, "wrong"), gr.skip(), gr.skip()))
    def run(request: gr.Request, kind, view, a, b, seed, tries, *controls):
        stopped = desk.begin(request)
        how, numbers = walk.words(*controls), common.seed_list(seed, tries)
        yield (
            None,
            show.note("beginning ...", "busy"),
            None,
            call_of(desk, kind, view, a, b, numbers, how),
        )
        job, said = desk.prepare(job_of, desk, kind, view, a or "", b or "", numbers, how)
        for record in live.walk(desk.studio, job, [f"seed {n}" for n in numbers], stopped):
            x = record.steps[-1].pictures["x"]
            yield large(x), said + show.note(record.progress(), busy(record)), gr.skip(), gr.skip()
        yield gr.skip(), gr.skip(), {"x": x, "turned": False}, gr.skip()

    inputs = [kind, view, a, b, *seeds, *walk.components]
    common.on_click(desk, draw, stop, run, inputs, [pictures, state, kept, shell])

    def turn_it(kind, view, kept):
        """The picture on its way to the other reading, and that reading."""
        if kept is None:
            yield gr.skip(), gr.skip()
            return
        back = kept["turned"]
        for i in range(1, TURN_FRAMES + 1):
            share = i / TURN_FRAMES
            yield large(reading(kind, view, kept["x"], 1 - share if back else share)), gr.skip()
            time.sleep(0.03)
        yield gr.skip(), {**kept, "turned": not back}

    turn.click(turn_it, [kind, view, kept], [pictures, kept], show_progress="hidden")

    def step_back(kind, kept, share):
        return gr.skip() if kept is None else afar(kept["x"], share)

    distance.input(
        step_back, [kind, kept, distance], pictures, queue=False, show_progress="hidden",
        trigger_mode="always_last",
    )  # fmt: skip

    def show_controls(kind):
        a, b = (gr.update(label=label) for label in LABELS[kind])
        turned = "Turn it" if kind == "anagram" else "Take the colour away"
        far = gr.update(visible=kind == "hybrid", value=0)
        turn = gr.update(visible=kind != "hybrid", value=turned)
        return a, b, gr.update(visible=kind == "anagram"), turn, far

    kind.change(
        show_controls, kind, [a, b, view, turn, distance], queue=False, show_progress="hidden"
    )
    return []


def opened(query: dict) -> list:
    return []


def first_pair(desk: common.Desk) -> tuple[str, str]:
    if "a cat" in desk.prompts.examples:
        return "running shoe", "bacon"
    examples = [*desk.prompts.examples, *desk.prompts.examples]
    return examples[0], examples[1]


# --- jobs -----------------------------------------------------------------------------------------


def job_of(desk: common.Desk, kind: str, view: str, a: str, b: str, seeds: list[int], how: dict):
    studio = desk.studio
    if kind == "anagram":
        return studio.anagrams(a, b, seeds, view, **how)
    if kind == "hybrid":
        return studio.hybrids(a, b, seeds, **how)
    words = {name: value for name, value in how.items() if name != "negative"}
    plan, count = studio.plan(**words), len(seeds)
    conds = tuple(studio.cond([text] * count) for text in (a, b))
    uncond = studio.cond([how["negative"]] * count)
    return studio.job(Factorized(conds, uncond, (grey, colour), plan.guidance), seeds, plan)


def grey(x: torch.Tensor) -> torch.Tensor:
    """The mean of the channels, in all of them."""
    return x.mean(dim=1, keepdim=True).expand_as(x)


def colour(x: torch.Tensor) -> torch.Tensor:
    """What is left."""
    return x - grey(x)


def call_of(
    desk: common.Desk, kind: str, view: str, a: str, b: str, seeds: list[int], how: dict
) -> str:
    words = {"seeds": copyable.seed_range(seeds)} | {k: v for k, v in how.items() if v != ""}
    words |= desk.options
    if kind == "anagram":
        return copyable.command("anagram", a, b, view=view, **words)
    if kind == "hybrid":
        return copyable.command("hybrid", a, b, **words)
    return "# grey and colour have no verb: see chapter 13"


# --- ways of looking ------------------------------------------------------------------------------


def reading(kind: str, view: str, pixels: np.ndarray, share: float) -> np.ndarray:
    """Pictures (B, H, W, 3), share of the way to their other reading."""
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    if kind == "factor":  # from all colours to none
        return show.to_bytes((1 - share) * x + share * grey(x))
    seen = VIEWS[view].view(x) if share >= 1 else VIEWS[view].frame(x, share) if share > 0 else x
    return show.to_bytes(seen)


def large(pixels: np.ndarray) -> str:
    return f'<div class="turning">{show.strip(pixels, alt="illusion", side=240)}</div>'


def afar(pixels: np.ndarray, share: float) -> str:
    """The pictures as from farther away: fewer pixels, each the mean of many, on less room."""
    size = max(1, round(pixels.shape[1] / FARTHEST ** float(share)))
    small = [
        np.asarray(Image.fromarray(x).resize((size, size), Image.Resampling.BOX)) for x in pixels
    ]
    return show.strip(
        np.stack(small), alt="from afar", side=math.ceil(240 * size / pixels.shape[1])
    )
