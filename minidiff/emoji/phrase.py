"""Gives the phrase "a high quality photo" a meaning of its own, by the text encoder alone.

A phrase that stood for all pictures in training names the same as the empty prompt. Guidance is
then the network's error, seven times over, and draws lumps. Here the UNet stays as it is. The text
states of the phrase become the mean of the states of "a fluent emoji of NAME" over HEADS: names of
one kind, so that their mean is a prompt which the UNet can follow, and the noise decides which of
them it becomes. (The mean over names of many kinds draws a grey thing.) The states of all other
captions stay: the encoder as it was is their teacher.

    python -m minidiff teach-phrase --out runs/phrase
"""

import copy
import json
import random
import shutil
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from minidiff.deepfloyd.t5 import T5Config, T5Encoder
from minidiff.deepfloyd.tokenizer import Tokenizer
from minidiff.emoji.captions import NEUTRAL, PHRASE_SET, caption_table, with_article
from minidiff.emoji.data import PACKED, load_emoji
from minidiff.emoji.export import T5_STEM, WEIGHTS, load_exported, strip, write_shards
from minidiff.emoji.prompts import read_prompts
from minidiff.errors import UserError
from minidiff.weights.manifest import seal

# fmt: off
HEADS = (
    "monkey face", "dog face", "fox", "raccoon", "cat face", "lion", "tiger face", "horse face",
    "cow face", "pig face", "mouse face", "hamster", "bear", "polar bear", "koala", "panda",
    "chicken", "frog", "dragon face",
)
# fmt: on
STEPS, BATCH, RATE = 600, 16, 5e-4
TOKENS, PADS = 20, 6  # positions looked at: the first ones, and some of the padding behind them
NEIGHBOURS = ("photo", "high", "quality", "a ")  # captions that share its pieces: half of a batch
VARIANTS, SEED = 8, 180


def teach_phrase(
    folder: str | Path = WEIGHTS, out: str | Path = "runs/phrase", steps: int = STEPS
) -> Path:
    """A copy of the checkpoint `folder` in `out` whose encoder knows the phrase.

    Prints how far the phrase came, and how much the states of other captions moved.
    """
    folder, out = Path(folder), Path(out)
    if out.exists():
        raise UserError(f"{out} exists: give another folder, or delete it")
    old = read_encoder(folder)
    tokenizer = Tokenizer.from_folder(folder)
    target = old(*tokenizer(meanings())).mean(0, keepdim=True)
    encoder = train_encoder(old, tokenizer, target, captions(SEED), steps)
    encoder.half().float()  # as it will be read
    for line in movements(old, encoder, tokenizer, target, captions(SEED + 1)):
        print(line)
    return write_checkpoint(folder, encoder, out)


def read_encoder(folder: Path) -> T5Encoder:
    """The text encoder of an exported checkpoint, fp32, without gradients."""
    config = json.loads((folder / "text_encoder" / "config.json").read_text())
    encoder = T5Encoder(T5Config.from_dict(config))
    encoder.load_state_dict({k: v.float() for k, v in load_exported(folder)[1].items()})
    return encoder.requires_grad_(False)


def meanings() -> list[str]:
    """The captions whose mean the phrase stands for."""
    return [f"{with_article(PHRASE_SET)} emoji of {name}" for name in HEADS]


def captions(seed: int) -> list[str]:
    """Training captions but for the phrase itself, drawn by a seed, and the empty prompt."""
    _, records = load_emoji(PACKED)
    table = caption_table(records, read_prompts(), VARIANTS, seed)
    texts = {text for row in table for text, _ in row} - {NEUTRAL}
    return ["", *sorted(texts - {""})]


def train_encoder(
    old: T5Encoder, tokenizer: Tokenizer, target: Tensor, texts: list[str], steps: int
) -> T5Encoder:
    """The encoder after `steps` of Adam; target: the phrase's states, (1, 77, width)."""
    encoder = copy.deepcopy(old).requires_grad_(True)
    optimizer = torch.optim.Adam(encoder.parameters(), RATE, betas=(0.9, 0.98))
    near = [text for text in texts if any(word in text for word in NEIGHBOURS)]
    rng, half = random.Random(SEED), BATCH // 2
    for step in (bar := tqdm(range(steps), "phrase")):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 20) * (1 - step / steps)
        others = ["", *rng.sample(texts, half), *rng.sample(near, half - 1)]
        ids, mask = tokenizer([NEUTRAL, *others])
        at = [*range(TOKENS), *sorted(rng.sample(range(TOKENS, ids.shape[1]), PADS))]
        states, before = (states_at(network, ids, mask, at) for network in (encoder, old))
        away = (states[:1] - target[:, at]).square().mean()
        moved = (states[1:] - before[1:])[mask[1:].sum(1) <= TOKENS].square().mean()
        optimizer.zero_grad()
        (away + 4 * moved).backward()
        optimizer.step()
        if step % 20 == 0:
            bar.set_postfix(away=f"{away.item():.4f}", moved=f"{moved.item():.5f}")
    return encoder.requires_grad_(False)


def states_at(encoder: T5Encoder, ids: Tensor, mask: Tensor, at: list[int]) -> Tensor:
    """The states at some positions, (B, len(at), width), as they are among all 77.

    True for texts whose tokens all lie at these positions: nothing looks at the padding.
    """
    x, bias = encoder.shared(ids[:, at]), encoder.attention_bias(mask)[:, :, at][..., at]
    for block in encoder.encoder.block:
        x = block(x, bias)
    return encoder.encoder.final_layer_norm(x)


def movements(
    old: T5Encoder, new: T5Encoder, tokenizer: Tokenizer, target: Tensor, texts: list[str]
) -> list[str]:
    """What became of the states, each as a share of their root mean square."""
    before = old(*tokenizer([NEUTRAL]))
    scale = target.square().mean().sqrt()
    phrase = [relative(x, target, scale).item() for x in (before, new(*tokenizer([NEUTRAL])))]
    moved = []
    for first in range(0, len(texts), 64):
        tokens = tokenizer(texts[first : first + 64])
        moved.append(relative(new(*tokens), old(*tokens), scale))
    moved = torch.cat(moved)
    most = texts[int(moved.argmax())]
    return [
        f"the phrase is {phrase[1]:.3f} from its target ({phrase[0]:.3f} before)",
        f"{len(moved)} captions moved by {moved.mean():.4f} (99 %: {moved.quantile(0.99):.4f})",
        f"most of all {most!r}, by {moved.max():.4f}; the empty prompt by {moved[0]:.4f}",
    ]


def relative(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    """(B, 77, width) twice -> (B,): root mean square of the difference over `scale`."""
    return (a - b).square().mean((1, 2)).sqrt() / scale


def write_checkpoint(folder: Path, encoder: T5Encoder, out: Path) -> Path:
    """The checkpoint with another encoder, sealed."""
    shutil.copytree(folder, out)
    for file in (out / "text_encoder").glob("*.safetensors*"):
        file.unlink()
    params = {f"encoder.{name}": p for name, p in encoder.state_dict().items()}
    write_shards(strip(params, "encoder."), out / "text_encoder", T5_STEM)
    seal(out)
    return out
