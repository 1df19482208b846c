"""One wrong version of the package."""

from dataclasses import dataclass

from minidiff.errors import UserError


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

    def apply(self, text: str) -> str:
        """The text with the mistake in it. UserError unless there is exactly one place for it."""
        if text.count(self.old) != 1:
            raise UserError(
                f"mutation {self.name}: the text to replace occurs {text.count(self.old)} times,"
                f" not once: {self.old!r}"
            )
        return text.replace(self.old, self.new)
