"""To come."""

import gradio as gr

ID, TITLE = "illusions", "illusions"


def build(desk) -> list:
    gr.HTML("")
    return []


def opened(query: dict) -> list:
    return []
