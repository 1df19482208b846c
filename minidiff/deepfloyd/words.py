"""Words of a prompt that a checkpoint was never told.

A checkpoint may bring tokenizer/words.json, every word that its captions had: the demo does, for it
was told some thousand names and nothing else, and draws something for any other word, too. Official
checkpoints have none: T5 has read the web.
"""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

from minidiff.deepfloyd.checkpoint import read_json
from minidiff.errors import UserError

FILE = "tokenizer/words.json"
# Words that name nothing, so that nothing is missed if they were never told.
LITTLE = frozenset(
    "a an the this that these those of in on at by to from with without and or for as is are was it"
    " its his her their over under near next behind inside above below between around through into"
    " while".split()
)


def words_in(text: str) -> list[str]:
    """The words of a cleaned caption, each once, in its order. Other scripts' are not looked at:
    of what its tokenizer cannot read the model tells by itself."""
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", text)
    return [word for word in dict.fromkeys(words) if word.isascii()]


class Words:
    """`words.note(prompt, text)` warns of those words in a prompt's cleaned text that are new."""

    def __init__(self, known: Iterable[str] = (), names: Iterable[str] = ()):
        """known: none means that nothing is known about it, and no word is noted.

        names: what there was a picture of, the shortest first.
        """
        self.known = frozenset(known)
        self.names = tuple(sorted(names, key=lambda name: (len(name), name)))

    @classmethod
    def from_folder(cls, folder: str | Path) -> "Words":
        """Those of a checkpoint, none where it brings none. UserError for a damaged file."""
        path = Path(folder) / FILE
        if not path.exists():
            return cls()
        content = read_json(path)
        lists = [content.get("words"), content.get("names")]
        if not all(isinstance(part, list) and all(map(is_text, part)) for part in lists):
            raise UserError(f"{path} is damaged (no lists of words and names in it): restore it")
        return cls(*lists)

    def note(self, prompt: str, text: str) -> None:
        if not self.known:
            return
        strange = [w for w in words_in(text) if w not in self.known and w not in LITTLE]
        if strange:
            told = ", ".join(map(repr, strange))
            warnings.warn(
                f"of the prompt {prompt!r} the model was never told {told}: it draws something all"
                " the same; `python -m minidiff names WORD` shows what it knows"
            )


def is_text(value: object) -> bool:
    return isinstance(value, str)
