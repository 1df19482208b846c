"""Prompts to text states: caption cleaning, tokenizer, T5. Loaded when first asked for."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from minidiff.deepfloyd.captions import clean_caption
from minidiff.deepfloyd.checkpoint import build, find_weights, load_weights, read_json
from minidiff.deepfloyd.signs import Signs
from minidiff.deepfloyd.streaming import StreamedT5
from minidiff.deepfloyd.t5 import T5Config, T5Encoder
from minidiff.deepfloyd.tokenizer import LENGTH, Tokenizer, says_something
from minidiff.deepfloyd.words import Words
from minidiff.errors import UserError
from minidiff.io.devices import free_memory

# The embedding table goes by two names in official files; a file may hold either or both.
ALIASES = {"encoder.embed_tokens.weight": "shared.weight"}
STREAMED_BATCH = 256  # prompts for which the weights are read once
SPARE_BYTES = 1 << 30  # beside the weights: activations, and what torch itself takes


def clean(prompt: str) -> str:
    """The official pipeline cleans twice: what the first pass uncovers, the second removes."""
    return clean_caption(clean_caption(prompt))


def check_list(prompts: list[str]) -> None:
    """UserError unless there is a list of texts: a single text would pass as a list of letters."""
    texts = not isinstance(prompts, str) and all(isinstance(prompt, str) for prompt in prompts)
    if not texts or not prompts:
        raise UserError(f"prompts must be a non-empty list of texts, not {prompts!r}")


def stays_fp32(key: str) -> bool:
    """The feed-forward output overflows in fp16: official files and this code keep wo wide."""
    return key.endswith(".wo.weight")


def find_text_weights(folder: Path, dtype: torch.dtype) -> list[Path]:
    """The text encoder's files for a model of this dtype."""
    return find_weights(folder / "text_encoder", "model", fp16_first=dtype != torch.float32)


@dataclass
class TextEncoder:
    """An official folder's text_encoder/ and tokenizer/, read at the first prompt.

    T5-XXL is larger than the UNet: encode all prompts first, then `free()` it. Where it does not
    fit, its blocks are read one at a time (deepfloyd/streaming.py); `stream` decides by hand.
    """

    folder: Path
    device: torch.device
    dtype: torch.dtype
    stream: bool | None = None
    loaded: tuple[Tokenizer, T5Encoder | StreamedT5] | None = field(default=None, repr=False)

    def load(self) -> tuple[Tokenizer, T5Encoder | StreamedT5]:
        if self.loaded is None:
            tokenizer = Tokenizer.from_folder(self.folder)
            part = self.folder / "text_encoder"
            config = T5Config.from_dict(read_json(part / "config.json"))
            if len(tokenizer) > config.vocab_size:
                raise UserError(
                    f"{self.folder}: the tokenizer has {len(tokenizer)} ids, but the text encoder"
                    f" only {config.vocab_size} embeddings: they are not of one checkpoint"
                )
            encoder = build(lambda: T5Encoder(config))
            files = find_text_weights(self.folder, self.dtype)
            how = {"aliases": ALIASES, "fp32": stays_fp32}
            if self.streams(encoder):
                encoder = StreamedT5(encoder, files, self.device, self.dtype, **how)
            else:
                load_weights(encoder, files, self.device, self.dtype, **how)
            self.loaded = tokenizer, encoder
        return self.loaded

    def streams(self, encoder: T5Encoder) -> bool:
        """Whether to read block by block: as asked, else when the whole would not fit. Of a
        computer's own memory it may take half: other programs live there too."""
        if self.stream is not None:
            return self.stream
        size = sum(p.numel() for p in encoder.parameters()) * self.dtype.itemsize
        room = free_memory(self.device)
        if room is None:
            return False
        return size + SPARE_BYTES > (room // 2 if self.device.type == "cpu" else room)

    @cached_property
    def signs(self) -> Signs:
        """How this checkpoint reads emoji."""
        return Signs.from_folder(self.folder)

    @cached_property
    def words(self) -> Words:
        """The words that this checkpoint was trained with, where it lists them."""
        return Words.from_folder(self.folder)

    def cleaned(self, prompts: list[str]) -> list[str]:
        """What the tokenizer is given. UserError for a prompt of which it knows nothing."""
        tokenizer, _ = self.load()
        texts = [clean(self.signs(prompt)) for prompt in prompts]
        for prompt, text in zip(prompts, texts):
            if not says_something(tokenizer.tokens(text)):
                raise UserError(
                    f"the model's tokenizer knows nothing of the prompt {prompt!r}: describe the"
                    " picture in English words"
                )
            self.words.note(prompt, text)
        return texts

    def free(self) -> None:
        """Let go of the encoder's memory; the next prompt would load it again."""
        self.loaded = None

    def check(self, prompts: list[str]) -> None:
        """UserError for a prompt that says nothing, or more than fits."""
        tokenizer, _ = self.load()
        for prompt, text in zip(prompts, self.cleaned(prompts)):
            tokens = tokenizer.tokens(text)
            if not tokens:
                raise UserError(
                    f"the prompt {prompt!r} says nothing once it is cleaned: describe a picture in"
                    " words"
                )
            if len(tokens) >= LENGTH:
                raise UserError(
                    f"the prompt has {len(tokens)} tokens and {LENGTH - 1} fit: shorten it, it"
                    f" begins {prompt[:60]!r}"
                )

    @torch.no_grad()
    def __call__(self, prompts: list[str]) -> Tensor:
        """(B, 77, d_model) states of B prompts, on the device, in the dtype. "" is a prompt too.

        A prompt's states are the same bits whatever the others are: the encoder takes one prompt
        at a time, because sums in a larger batch are rounded in another order.
        """
        check_list(prompts)
        tokenizer, encoder = self.load()
        cleaned = self.cleaned(prompts)
        states = []
        batch = STREAMED_BATCH if isinstance(encoder, StreamedT5) else 1
        for i in range(0, len(cleaned), batch):
            ids, mask = tokenizer(cleaned[i : i + batch])
            states.append(encoder(ids.to(self.device), mask.to(self.device)))
        return torch.cat(states).to(self.dtype)
