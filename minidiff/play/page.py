"""The page: its tabs, what they share, and what an address may ask it to open.

/?tab=equation&mistake=NAME    that tab, with that wrong version of the catalogue loaded
/?tab=read&chapter=05          a chapter of the book
"""

from pathlib import Path

import gradio as gr

from minidiff.play import bench
from minidiff.play.tabs import (
    common,
    digits,
    drawing,
    equation,
    illusions,
    inpainting,
    read,
    sample,
    second,
)
from minidiff.play.targets import TITLES
from minidiff.studio import Studio

STYLE = Path(__file__).with_name("page.css")
TABS = (sample, equation, drawing, inpainting, illusions, digits, second, read)


def theme() -> gr.Theme:
    """Gradio's own, with fonts that every machine has: none is fetched."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Helvetica", "Arial", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    return gr.themes.Default(primary_hue="blue", font=fonts, font_mono=mono)


def make_page(studio: Studio, weights=None, embeddings=None, weights_2=None) -> gr.Blocks:
    """All tabs over one studio. Loading of the weights begins now, beside the page."""
    common.in_background(bench.warm_up)
    common.in_background(lambda: studio.model.unet)
    desk = common.Desk(studio, weights, embeddings, weights_2)
    tabs_here = [tab for tab in TABS if tab is not second or desk.upscaler]
    with gr.Blocks(title="minidiff", analytics_enabled=False) as page:
        gr.Markdown(
            f"# minidiff\nDraw with `{studio.model.name}`, change an equation, and watch what"
            " becomes of the picture."
        )
        with gr.Tabs() as tabs:
            opened = []
            for tab in tabs_here:
                with gr.Tab(TITLES[tab.ID], id=tab.ID):
                    opened += tab.build(desk)

        def first(request: gr.Request) -> list:  # Gradio reads its arguments: no partial
            return open_page(tabs_here, dict(request.query_params))

        page.load(first, None, [tabs, *opened], queue=False, show_progress="hidden")
        page.unload(desk.forget)
    page.queue(default_concurrency_limit=4)
    return page


def open_page(tabs_here: list, query: dict[str, str]) -> list:
    """The tab that the address asks for, and what each tab shows at first."""
    wanted = query.get("tab")
    selected = wanted if wanted in [tab.ID for tab in tabs_here] else sample.ID
    updates = [update for tab in tabs_here for update in tab.opened(query)]
    return [gr.Tabs(selected=selected), *updates]
