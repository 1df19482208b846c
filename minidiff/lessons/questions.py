"""Questions that a chapter asks before it runs the answer, and the check of both by number.

In the text:      **Predict 05.1.** How much larger is ...?
in a later fence: predict("05.1", draw_error / mean_error)
and after it:     <details><summary>Answer</summary>  **1.4.** Because ...

The number in the answer is the book's: a run that measures another one fails. With `lessons --ask`
the reader is asked first.
"""

import os
import re

from minidiff.lessons.chapters import find_chapters

ASK = "MINIDIFF_LESSONS_ASK"
QUESTION = re.compile(
    r"\*\*Predict (?P<name>\d\d\.\d)\.\*\* (?P<question>[^\n]+)\n.*?"
    r"<summary>Answer</summary>\s*\*\*(?P<answer>-?[\d,]*\.?\d+)\.?\*\*",
    re.DOTALL,
)
ASKED = re.compile(r"^predict\(\"(?P<name>\d\d\.\d)\"", re.MULTILINE)


def questions(text: str) -> dict[str, tuple[str, float]]:
    """name -> (question, the book's number) for the questions of a chapter's text."""
    return {
        m["name"]: (m["question"], float(m["answer"].replace(",", "")))
        for m in QUESTION.finditer(text)
    }


def predict(name: str, measured: float, within: float = 0.05) -> None:
    """Hold the measured number against the book's answer, and before that against the reader's.

    within: how far from the book's number it may lie, as a share of it. AssertionError beyond.
    """
    question, book = questions(find_chapters([name[:2]])[0].text)[name]
    measured = float(measured)
    if os.environ.get(ASK):
        judge(name, question, measured, within)
    print(f"predict {name}: measured {measured:.4g}, the book says {book:g}")
    if not abs(measured - book) <= within * abs(book):
        raise AssertionError(
            f"question {name}: the chapter's answer is {book:g}, this run measured {measured:.4g}"
        )


def judge(name: str, question: str, measured: float, within: float) -> None:
    """Ask the reader for a number and say how near it came."""
    print(f"\n{name}. {question}")
    while True:
        try:
            guess = float(input("your number: "))
            break
        except ValueError:
            print("a number, please, such as 0.5 or 30")
        except EOFError:
            return
    near = abs(guess - measured) <= max(within, 0.25) * abs(measured)
    print(f"{'well predicted' if near else 'not near'}: you said {guess:g}, it is {measured:.4g}")
