"""The book, a chapter at a time, with links that load its mistakes into the equation tab."""

import gradio as gr

from minidiff.lessons.chapters import find_chapters
from minidiff.play.book import page_of, title_of

ID = "read"
MATHS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]


def build(desk) -> list:
    chapters = {title_of(chapter): chapter.number for chapter in find_chapters()}
    choices = list(chapters.items())
    chosen = gr.Dropdown(choices, value=choices[0][1], label="Chapter")
    mistakes = gr.HTML()
    text = gr.Markdown(latex_delimiters=MATHS, elem_id="chapter", elem_classes="chapter")
    chosen.input(page_of, chosen, [mistakes, text], queue=False, show_progress="hidden")
    return [chosen, mistakes, text]


def opened(query: dict) -> list:
    known = [chapter.number for chapter in find_chapters()]
    number = query.get("chapter", "").zfill(2)
    number = number if number in known else known[0]
    return [number, *page_of(number)]
