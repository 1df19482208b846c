"""Emoji in a prompt as the words that a checkpoint was trained with.

A checkpoint may bring tokenizer/emoji_names.json, "1f355" -> "pizza": the demo does, for it draws
emoji and its tokenizer knows words only. Official checkpoints have none; their prompts stay as they
are.

    "a 🍕 on a table"   a pizza on a table
    "👍" in any skin tone   thumbs up: tones have no names of their own
    a joined sequence       woman astronaut: by its own name, else part by part
"""

import re
import warnings
from pathlib import Path

from minidiff.deepfloyd.checkpoint import read_json
from minidiff.errors import UserError

FILE = "tokenizer/emoji_names.json"
SKIPPED = "[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]"  # black or coloured drawing, skin tones
JOINER = "\u200d"
TAGS = "[\U000e0020-\U000e007f]"  # which of a country's flags
LETTERLIKE = "\u2190"  # below it lie ©, ™ and such: emoji only when FE0F says so


class Signs:
    """`signs(prompt)` -> the prompt with every known emoji spelled out; a note tells which."""

    def __init__(self, names: dict[str, str]):
        """names: "1f469-200d-1f680" -> "woman astronaut", FE0F and skin tones left out."""
        self.names = {characters(code): name for code, name in names.items()}
        longest_first = sorted(self.names, key=len, reverse=True)
        known = "|".join(f"{SKIPPED}*".join(map(re.escape, sign)) for sign in longest_first)
        end = f"(?:{SKIPPED}|{TAGS})*"
        self.known = f"({known}){end}{JOINER}?" if known else ""

    @classmethod
    def from_folder(cls, folder: str | Path) -> "Signs":
        """Those of a checkpoint, none where it brings none. UserError for a damaged file."""
        path = Path(folder) / FILE
        names = read_json(path) if path.exists() else {}
        try:
            return cls({code: str(name) for code, name in names.items()})
        except ValueError as error:
            raise UserError(f"{path} is damaged ({error}): restore it") from error

    def __call__(self, prompt: str) -> str:
        read: dict[str, str] = {}

        def spell(match: re.Match) -> str:
            sign = re.sub(SKIPPED, "", match[1])
            if sign < LETTERLIKE and "\ufe0f" not in match[0]:
                return match[0]
            read[match[0].rstrip(JOINER)] = self.names[sign]
            return f" {self.names[sign]} "

        if prompt.isascii() or not self.known:
            return prompt
        spelled = re.sub(self.known, spell, prompt)  # only now compiled
        if not read:
            return prompt
        told = ", ".join(f"{sign} as {name!r}" for sign, name in read.items())
        warnings.warn(f"of the prompt {prompt!r} the model reads {told}")
        return " ".join(spelled.split()).replace(" ,", ",")


def characters(code: str) -> str:
    """ "1f355" or "1f469-200d-1f680" as text."""
    return "".join(chr(int(point, 16)) for point in code.split("-"))
