"""To come."""

import gradio as gr

ID, TITLE = "drawing", "drawing"


def build(desk) -> list:
    gr.HTML("")
    return []


def opened(query: dict) -> list:
    return []
