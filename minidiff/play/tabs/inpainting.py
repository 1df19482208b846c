"""To come."""

import gradio as gr

ID, TITLE = "inpainting", "inpainting"


def build(desk) -> list:
    gr.HTML("")
    return []


def opened(query: dict) -> list:
    return []
