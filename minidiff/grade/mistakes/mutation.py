"""One wrong version of the package."""

import ast
from dataclasses import dataclass

from minidiff.errors import UserError
from minidiff.io.shipped import shipped_text


@dataclass(frozen=True)
class Mutation:
    """A mistake that people make, as a replacement of text.

    name, exercise    what it is called, and whose mistake it is
    file, old, new    in this file of the package, the first text becomes the second
    caught_by         the check of the exercise that fails first
    hint              what it looks like one did; it does not give the line away
    picture           what the pictures look like then
    scene             which of the gallery's scenes shows it, "" if no picture does
    """

    name: str
    exercise: str
    file: str
    old: str
    new: str
    caught_by: str
    hint: str
    picture: str
    scene: str = ""

    @property
    def place(self) -> str:
        """The function or class of the package's file that the mistake is in, "" if outside."""
        text = shipped_text(self.file)
        line = text[: text.find(self.old)].count("\n") + 1
        for node in ast.parse(text).body:
            if node.lineno <= line <= node.end_lineno:
                return getattr(node, "name", "")
        return ""

    def apply(self, text: str) -> str:
        """The text with the mistake in it. UserError unless there is exactly one place for it."""
        if text.count(self.old) != 1:
            raise UserError(
                f"mutation {self.name}: the text to replace occurs {text.count(self.old)} times,"
                f" not once: {self.old!r}"
            )
        return text.replace(self.old, self.new)
