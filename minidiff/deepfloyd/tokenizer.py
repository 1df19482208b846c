"""T5's tokenizer: prompts -> 77 token ids each, as the text encoder was trained on them.

    "a  ﬁsh</s>"  ->  "a  fish" and the token </s>      literal special tokens are cut out, then
                  ->  ▁a ▁fish </s>                     characters normalised, words marked with ▁
                  ->  3 219 1                           each word cut into its most probable pieces
                  ->  3 219 1 1 0 0 0 ... 0             </s> (1) at the end, padding (0) up to 77

The pieces, their log-probabilities and the character map come from the checkpoint's spiece.model,
read by sentencepiece. Where sentencepiece and the T5Tokenizer of transformers (which the official
pipeline uses) disagree, this file follows T5Tokenizer; the comments below say where.

Source: the unigram model of Kudo 2018, arXiv 1804.10959.
"""

import math
import re
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path

import sentencepiece
import torch
from torch import Tensor

from minidiff.deepfloyd.captions import check_unicode
from minidiff.deepfloyd.checkpoint import read_json
from minidiff.errors import UserError

LENGTH = 77  # what DeepFloyd IF was trained on
PAD, EOS, UNKNOWN = 0, 1, 2  # T5 has no start token
UNKNOWN_PENALTY = 10.0  # an unknown character is this much less likely than the rarest piece
SHOWN_CHARACTERS = 200  # of the text that a warning quotes
SHOWN_UNKNOWN = 6  # parts that a warning names

Token = tuple[str, int]  # the text of a piece and its id


class Tokenizer:
    """`tokenizer(prompts)` -> ids and mask, both (B, 77) int64."""

    def __init__(self, spiece: Path, extra_ids: int = 100):
        """spiece: a spiece.model file; extra_ids: how many <extra_id_N> follow its pieces."""
        pieces = open_sentencepiece(spiece)
        self.characters = sentencepiece.SentencePieceNormalizer(
            model_file=str(spiece),
            add_dummy_prefix=False,
            escape_whitespaces=False,
            remove_extra_whitespaces=False,
        )
        size = pieces.get_piece_size()
        self.ids = {pieces.id_to_piece(i): i for i in range(size)}
        self.scores = [pieces.get_score(i) for i in range(size)] + [0.0] * extra_ids
        # T5 counts its extra tokens backwards: <extra_id_0> is the last one.
        extra = {f"<extra_id_{n}>": size + extra_ids - 1 - n for n in range(extra_ids)}
        self.ids |= extra
        self.special = {name: self.ids[name] for name in ("<pad>", "</s>", "<unk>")} | extra
        self.special_pattern = re.compile("(" + "|".join(map(re.escape, self.special)) + ")")
        self.longest = max(map(len, self.ids))
        self.unknown_score = min(self.scores) - UNKNOWN_PENALTY

    @classmethod
    def from_folder(cls, folder: str | Path) -> "Tokenizer":
        """Read tokenizer/ of a checkpoint in the official layout."""
        part = Path(folder) / "tokenizer"
        config = part / "tokenizer_config.json"
        extra_ids = read_json(config).get("extra_ids", 100) if config.exists() else 100
        if type(extra_ids) is not int or not 0 <= extra_ids <= 1000:
            raise UserError(f"{config}: extra_ids must be 0 to 1000, not {extra_ids!r}")
        return cls(part / "spiece.model", extra_ids)

    def __len__(self) -> int:
        """Number of ids; the text encoder's embedding needs at least as many rows."""
        return len(self.scores)

    def __call__(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """ids, and mask: 1 for pieces and the end token, 0 for padding. Both (B, 77) int64.

        What does not fit into 76 pieces is cut, and what is in no piece becomes <unk>: a warning
        names either.
        """
        if isinstance(prompts, str) or not all(isinstance(p, str) for p in prompts):
            raise UserError(f"prompts must be a list of texts, not {prompts!r}")
        ids = torch.full((len(prompts), LENGTH), PAD)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            tokens = self.tokens(prompt)
            warn_of_cut(tokens[LENGTH - 1 :])
            warn_of_unknown(tokens)
            kept = [i for _, i in tokens[: LENGTH - 1]] + [EOS]
            ids[row, : len(kept)] = torch.tensor(kept)
            mask[row, : len(kept)] = 1
        return ids, mask

    def tokens(self, prompt: str) -> list[Token]:
        """The pieces of a prompt, as many as there are, without the end token.

        A literal special token counts as that token (sentencepiece would spell it out), and the
        text on either side of it is normalised by itself.
        """
        check_unicode(prompt)
        tokens = []
        for part in self.special_pattern.split(prompt):
            if part in self.special:
                tokens.append((part, self.special[part]))
            else:
                # The map leaves the "next line" control character (U+0085); it is white space.
                for word in self.normalise(part).split():
                    tokens += self.cut("▁" + word)
        return tokens

    def cut(self, word: str) -> list[Token]:
        """The most probable way to spell a word with known pieces, by dynamic programming.

        best[j] is the log-probability of the best spelling of word[:j]; start[j] and piece[j] say
        where its last piece begins and which it is. Of equally good ones the longest is kept.
        """
        best, start, piece = [0.0] + [-math.inf] * len(word), [0] * (len(word) + 1), {}
        for i in range(len(word)):
            for j in range(i + 1, min(i + self.longest, len(word)) + 1):
                known = self.ids.get(word[i:j])
                if known is None and j > i + 1:
                    continue
                score = best[i] + (self.unknown_score if known is None else self.scores[known])
                if score > best[j]:
                    best[j], start[j] = score, i
                    piece[j] = UNKNOWN if known is None else known
        tokens: list[Token] = []
        end = len(word)
        while end > 0:
            tokens.append((word[start[end] : end], piece[end]))
            end = start[end]
        return merge_unknown(tokens[::-1])

    def normalise(self, text: str) -> str:
        """Compatibility characters become plain ones: "ﬁ" fi, "Ａ" A, "e" + accent é, "…" ..."""
        return "".join(self.normalise_cluster(cluster) for cluster in clusters(text))

    def normalise_cluster(self, cluster: str) -> str:
        """A character and the marks on it, as the `tokenizers` library behind T5Tokenizer maps it.

        In a cluster below 6 bytes, the shortest beginning that the map knows replaces the *whole*
        cluster: of "Ａ" + accent only "A" is left. Anything else goes character by character.
        sentencepiece itself takes the longest match everywhere and drops nothing.
        """
        if len(cluster.encode()) < 6:
            for end in range(1, len(cluster) + 1):
                head, rest = cluster[0], cluster[1:end]
                mapped = self.characters.normalize(cluster[:end])
                if mapped != head + self.characters.normalize(rest):
                    return mapped
        return "".join(self.characters.normalize(c) for c in cluster)


def open_sentencepiece(path: Path) -> sentencepiece.SentencePieceProcessor:
    """The model file, checked for T5's ids. UserError if it is absent, damaged or another kind."""
    if not path.is_file():
        if path.with_name("tokenizer.json").is_file():
            raise UserError(
                f"{path} is not there, only tokenizer.json, which is not read here: fetch"
                " spiece.model, which the same repository has"
            )
        raise UserError(f"{path} is not there: a checkpoint needs its tokenizer; fetch it again")
    try:
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path} is not a SentencePiece model; fetch it again") from error
    found = (pieces.pad_id(), pieces.eos_id(), pieces.unk_id(), pieces.bos_id())
    if found != (PAD, EOS, UNKNOWN, -1):
        raise UserError(
            f"{path} is not T5's: pad, eos, unk and bos should be {PAD}, {EOS}, {UNKNOWN} and none"
            f" (-1), but are {found}"
        )
    return pieces


def clusters(text: str) -> Iterator[str]:
    """The text in groups of a character and the marks that sit on it."""
    group = ""
    for c in text:
        if group and is_mark(c) and carries_marks(group[-1]):
            group += c
        else:
            if group:
                yield group
            group = c
    if group:
        yield group


# Characters that join the one before them without being marks: zero-width (non-)joiner, the voicing
# marks of half-width katakana, and the skin tones of emoji.
JOINERS = "\u200c\u200d\uff9e\uff9f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


def is_mark(c: str) -> bool:
    return unicodedata.category(c)[0] == "M" or c in JOINERS


def carries_marks(c: str) -> bool:
    """All but control and format characters and line breaks do."""
    return unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp") or c in JOINERS


def merge_unknown(tokens: list[Token]) -> list[Token]:
    """A run of unknown characters is one unknown token."""
    merged: list[Token] = []
    for text, i in tokens:
        if i == UNKNOWN and merged and merged[-1][1] == UNKNOWN:
            text = merged.pop()[0] + text
        merged.append((text, i))
    return merged


def warn_of_cut(tokens: list[Token]) -> None:
    """Say which words of a prompt did not fit."""
    text = "".join(text for text, _ in tokens).replace("▁", " ")
    if text:
        within_word = "" if text[0] == " " else "..."
        more = "..." if len(text) > SHOWN_CHARACTERS else ""
        warnings.warn(
            f"the prompt is longer than {LENGTH - 1} tokens; cut off:"
            f" {within_word}{text.strip()[:SHOWN_CHARACTERS]}{more}",
            stacklevel=3,
        )


def says_something(tokens: list[Token]) -> bool:
    """Whether any piece with a letter or digit is known, or none is unknown."""
    unknown = any(i == UNKNOWN for _, i in tokens)
    return not unknown or any(i != UNKNOWN and any(map(str.isalnum, t)) for t, i in tokens)


def warn_of_unknown(tokens: list[Token]) -> None:
    """Say which parts of a prompt are in no piece of the vocabulary."""
    words: list[list[Token]] = []
    for token in tokens:
        if token[0].startswith("▁") or not words:
            words.append([])
        words[-1].append(token)
    told = []
    for word in words:
        whole = "".join(text for text, _ in word).strip("▁")
        parts = [text.strip("▁") for text, i in word if i == UNKNOWN]
        told += [repr(part) if part == whole else f"{part!r} of {whole!r}" for part in parts]
    if told:
        more = f" and {len(told) - SHOWN_UNKNOWN} more" if len(told) > SHOWN_UNKNOWN else ""
        warnings.warn(
            f"the tokenizer does not know {', '.join(told[:SHOWN_UNKNOWN])}{more}: to the model it"
            " means nothing, so say it in plain English letters",
            stacklevel=3,
        )
